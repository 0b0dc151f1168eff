/*
 * Who may send a request. With a key: what its scopes allow. Without one: what --anonymous allows, and then only for a
 * host that is ours and, when it changes something, from a page of ours: a browser sends requests for any page it shows,
 * and a foreign name can lead it here (DNS rebinding).
 */
#ifndef MR_API_ACCESS_H
#define MR_API_ACCESS_H

#include <stdbool.h>

#include "api/control/keys.h"
#include "common/options.h"

struct MrExchange;

typedef struct MrAccess
{
	MrSharedKeys *keys;     /* what it points to is NULL when the service has no keys */
	unsigned anonymous;     /* scopes of requests without a key */
	const MrStrings *hosts; /* names besides the loopback's that they may be for */
} MrAccess;

/* Sets the exchange's key. False: the request is refused, and answered. Before anything of it is looked at. */
extern bool mr_access_identify(struct MrExchange *exchange, const MrAccess *access);
/*
 * Is it one of those that its client may send per second? A key's requests are counted together, wherever they come from;
 * pages and the document, which need no scope, are free. False: answered.
 */
extern bool mr_access_is_within_rate(struct MrExchange *exchange);
/* May it use a route that needs the scope (0: none), and changes something or not? False: answered. */
extern bool mr_access_allow(struct MrExchange *exchange, const MrAccess *access, unsigned scope,
							bool changes);

#endif
