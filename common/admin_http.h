/*
 * The small HTTP server of a daemon: /metrics, /livez, /readyz, on the main thread's event loop.
 * GET and HEAD only, no bodies, small headers, short timeouts. It answers while the loop turns,
 * which is what /livez is about.
 */
#ifndef MR_COMMON_ADMIN_HTTP_H
#define MR_COMMON_ADMIN_HTTP_H

#include <event2/event.h>
#include <stdbool.h>

#include "common/buffer.h"

typedef struct MrAdminHttp MrAdminHttp;

typedef struct MrAdminCallbacks
{
	void (*metrics)(void *owner, MrBuffer *out);
	/* True when ready; otherwise writes why not, a line each. */
	bool (*ready)(void *owner, MrBuffer *out);
} MrAdminCallbacks;

/* listen is "address:port" or "[v6]:port"; port 0 takes any free one. NULL and a message on failure. */
extern MrAdminHttp *mr_admin_http_new(struct event_base *base, const char *listen,
									  const MrAdminCallbacks *callbacks, void *owner, char *error,
									  size_t error_size) __attribute__((warn_unused_result));
/*
 * As the option --admin-listen says: "" and "off" open none, and *admin is left as it is. What was opened, or why not, is
 * in the log; false: it could not be opened.
 */
extern bool mr_admin_http_open(struct event_base *base, const char *listen,
							   const MrAdminCallbacks *callbacks, void *owner, MrAdminHttp **admin)
	__attribute__((warn_unused_result));
/* Whether the option has a form that mr_admin_http_open() understands; else `error` says what it should have been. */
extern bool mr_admin_http_check(const char *listen, char *error, size_t error_size);
/* The port really listened on. */
extern int mr_admin_http_port(const MrAdminHttp *admin);
extern void mr_admin_http_free(MrAdminHttp *admin);

#endif
