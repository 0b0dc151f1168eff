/*
 * One thread's connections to PostgreSQL: queries wait for a free one, in order, and end by a callback, each exactly
 * once unless it is abandoned. A query that is abandoned while it runs is cancelled, and its connection used again only
 * when the query has ended and the cancel is over: it can hit no other query.
 *
 * The pool is the circuit breaker towards PostgreSQL, too. Without a connection (none can be made, all are lost, or one
 * has not answered in time) queries are refused at once; connections are tried again all the while, at least once a
 * second, and the first that is set up closes the breaker.
 */
#ifndef MR_API_POOL_H
#define MR_API_POOL_H

#include <event2/event.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/database/canceller.h"
#include "common/pg_message.h"

#define MR_QUERY_PARAMETERS_MAX 80

typedef struct MrPool MrPool;
typedef struct MrQuery MrQuery;

typedef struct MrPoolSetup
{
	struct event_base *base;
	const char *dsn;
	int connections;
	bool writes;      /* else its transactions are read only */
	int64_t query_ms; /* longest a query may run, and wait */
	MrCanceller *canceller;
} MrPoolSetup;

/* Why a query did not give rows. */
typedef enum MrQueryFailure
{
	MR_QUERY_OK,
	MR_QUERY_ERROR,   /* the server's error */
	MR_QUERY_LOST,    /* no connection, or it was lost */
	MR_QUERY_TIMEOUT, /* it ran for too long */
	MR_QUERY_BUSY     /* it waited for too long, or too many wait */
} MrQueryFailure;

/* result is NULL unless MR_QUERY_OK, error is NULL then; both belong to the pool. */
typedef void (*MrQueryEnd)(void *owner, MrQueryFailure failure, const PGresult *result,
						   const MrPgError *error);

typedef struct MrPoolState
{
	int connections; /* set up */
	int running;
	int waiting;
	uint64_t queries;
	uint64_t losses;
	uint64_t refused;
	uint64_t cancels;
	bool is_open;      /* the breaker: queries are refused */
	char trouble[512]; /* last error of connecting; "" = none */
} MrPoolState;

extern MrPool *mr_pool_new(const MrPoolSetup *setup);
/*
 * Runs a statement with text parameters (NULL is SQL's); name: prepare it once on each connection under this name; NULL: do
 * not; "": do not, but what came last on a connection, at most a second ago, is run again by itself when it comes again:
 * neither parsed nor, as PostgreSQL likes, planned for its values. What was prepared and does not fit any more (a column's type
 * was changed) is run with its text, and prepared again when it comes again. Returns NULL when it is refused, *failure then says why, and
 * `end` is not called.
 */
extern MrQuery *mr_pool_query(MrPool *pool, const char *name, const char *sql, int count,
							  const char *const *values, MrQueryEnd end, void *owner,
							  MrQueryFailure *failure);
/*
 * The same for a look-up of one row, prepared by its name: many of them go through one connection, in pipeline mode, and none
 * is cancelled.
 */
extern MrQuery *mr_pool_read(MrPool *pool, const char *name, const char *sql, int count,
							 const char *const *values, MrQueryEnd end, void *owner,
							 MrQueryFailure *failure);
/* The owner is no longer interested: `end` will not be called. */
extern void mr_query_abandon(MrQuery *query);
/* Call it every 50 ms or so. */
extern void mr_pool_tick(MrPool *pool);
/* Has it a connection? Else the breaker is open: queries are refused. */
extern bool mr_pool_is_connected(const MrPool *pool);
/* It has none, and connecting has failed. */
extern bool mr_pool_is_in_trouble(const MrPool *pool);
extern void mr_pool_state(const MrPool *pool, MrPoolState *state);
extern void mr_pool_free(MrPool *pool);

#endif
