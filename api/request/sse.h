/* Server-sent events (WHATWG HTML, section 9.2.5, "Parsing an event stream") as text; pure. */
#ifndef MR_API_SSE_H
#define MR_API_SSE_H

#include "common/buffer.h"

#define MR_SSE_TYPE "text/event-stream"

/*
 * Appends one event: its name (NULL: "message"), its id (NULL: the client keeps the one it has) and its data. A line
 * of the data becomes a line of the event, whether it ends with LF, CR or both. Names and ids have no line ends.
 */
extern void mr_sse_event(MrBuffer *out, const char *name, const char *id, const char *data,
						 size_t len);
/* Appends how long a client that lost the stream waits before it connects again. */
extern void mr_sse_retry(MrBuffer *out, int ms);
/* Appends a comment, which clients ignore; proxies and routers see that the connection is in use. */
extern void mr_sse_comment(MrBuffer *out);

#endif
