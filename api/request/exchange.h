/*
 * One request from its arrival to the end of its answer. It belongs to the connection's thread. A handler answers once,
 * now or later; it may set `work` for what it waits for meanwhile.
 */
#ifndef MR_API_EXCHANGE_H
#define MR_API_EXCHANGE_H

#include <event2/http.h>
#include <stdint.h>

#include "api/control/problem.h"
#include "api/control/route_stats.h"
#include "api/control/shared_text.h"
#include "api/request/access.h"
#include "api/request/edge.h"
#include "api/request/fields.h"
#include "api/request/params.h"
#include "api/request/router.h"
#include "api/request/trace.h"
#include "api/wire/connection.h"
#include "common/options.h"

typedef enum MrAccessLog
{
	MR_ACCESS_OFF,
	MR_ACCESS_ERRORS,
	MR_ACCESS_ALL
} MrAccessLog;

typedef struct MrStreams MrStreams; /* stream.h */

/* What all exchanges of a thread share. */
typedef struct MrExchangeSetup
{
	const MrRoute *routes;
	int route_count;
	MrRouteStats *stats;
	MrAccessLog access_log;
	MrAccess access;
	const MrEdge *edge;
	size_t body_max; /* bytes of a body that was compressed */
	MrStreams *streams;
	void *context; /* of the handlers */
} MrExchangeSetup;

typedef struct MrExchange
{
	const MrExchangeSetup *setup;
	MrConnection *connection;
	struct evhttp_request *http;
	MrRouteMatch match;
	MrParams params;
	const MrKey *key; /* NULL: it came without one */
	char *path; /* of the request, without the query: queries hold data, and are never logged */
	char client[MR_CLIENT_SIZE]; /* its address */
	MrTrace trace;
	bool is_head;
	int64_t began_us;
	int64_t took_us; /* from there to its answer, or of a stream to its beginning */
	int status;      /* 0: not answered yet */
	bool goes_on;    /* the answer has begun, and not ended */
	bool is_left;    /* by the client, before the answer */
	bool is_done;    /* what it asked for, for good: its answer is given, however much is held */
	void *work;
	void (*abandon)(void *work); /* frees it; called when it is still there at the end */
} MrExchange;

/* The callbacks for mr_connections_new(); the owner is an MrExchangeSetup. */
extern const MrConnectionEvents mr_exchange_events;

/* The body as one run of bytes, which belongs to the request. */
extern const char *mr_exchange_body(const MrExchange *exchange, size_t *len);
/* What it says has been read otherwise: from here on the request has no body. */
extern void mr_exchange_drop_body(MrExchange *exchange);
extern void mr_exchange_set_header(MrExchange *exchange, const char *name, const char *value);
/* The answer depends on this header field of the request. */
extern void mr_exchange_vary(MrExchange *exchange, const char *name);
/* The handler no longer waits for its work, and has freed it or will. */
extern void mr_exchange_forget_work(MrExchange *exchange);

/* Takes the body over. type: NULL for an answer without one. */
extern void mr_exchange_answer(MrExchange *exchange, int status, const char *type, MrBuffer *body);
extern void mr_exchange_problem(MrExchange *exchange, const MrProblemReport *report);
/* The same in one line; detail and hint may be NULL. */
extern void mr_exchange_refuse(MrExchange *exchange, MrProblem problem, const char *detail,
							   const char *hint);

/*
 * An answer that goes on, with status 200. False: the request is HEAD's, and answered. send_buffer: how many bytes the
 * socket may hold, so that a client that does not read is noticed.
 */
extern bool mr_exchange_begin(MrExchange *exchange, const char *type, int send_buffer);
/* A part of it; the text is not copied. */
extern void mr_exchange_send(MrExchange *exchange, MrSharedText *part);
/* Nothing comes behind this. The exchange may be gone afterwards. */
extern void mr_exchange_end(MrExchange *exchange);

#endif
