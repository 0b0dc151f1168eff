/*
 * Asks PostgreSQL what the relation behind /events is, at the start and at each SIGHUP, over a connection of its own
 * that is closed afterwards. On the main thread's loop. A server that cannot be reached is tried again and again.
 */
#ifndef MR_API_DESCRIBE_H
#define MR_API_DESCRIBE_H

#include <event2/event.h>

#include "api/control/settings.h"
#include "api/resource/context.h"
#include "common/pg_message.h"

typedef struct MrDescribe MrDescribe;

/* The relation cannot be served: it is reported, and `relation` is as it was. */
typedef void (*MrDescribeFailed)(void *owner, const MrPgError *error);

extern MrDescribe *mr_describe_new(struct event_base *base, const MrApiSettings *settings,
								   MrSharedRelation *relation, MrDescribeFailed failed,
								   void *owner);
/* Asks (again), as soon as the server can be reached. */
extern void mr_describe_ask(MrDescribe *describe);
/* Why it is not known yet; "" when nothing is wrong. */
extern const char *mr_describe_trouble(const MrDescribe *describe);
/* Whether there is such a reason; for other threads, too. */
extern bool mr_describe_is_in_trouble(const MrDescribe *describe);
/* Frees the relations, too: after the workers. */
extern void mr_describe_free(MrDescribe *describe);

#endif
