/*
 * One query for a request: it runs while the request waits, is cancelled when the client leaves, and answers a query that cannot
 * run at all by itself.
 */
#ifndef MR_API_LOOK_H
#define MR_API_LOOK_H

#include "api/database/pool.h"
#include "api/request/exchange.h"

/*
 * Its end, unless the client has left: what mr_pool_query() gives, and `detail` as it was given. The request waits for nothing
 * any more.
 */
typedef void (*MrLookEnd)(MrExchange *exchange, const void *detail, MrQueryFailure failure,
						  const PGresult *result, const MrPgError *error);

/* name, sql, count and values: as of mr_pool_query(). detail must live until the end. */
extern void mr_look_up(MrExchange *exchange, MrPool *pool, const char *name, const char *sql,
					   int count, const char *const *values, MrLookEnd end, const void *detail);
/* The same for one row, by mr_pool_read(). */
extern void mr_look_up_row(MrExchange *exchange, MrPool *pool, const char *name, const char *sql,
						   int count, const char *const *values, MrLookEnd end);

#endif
