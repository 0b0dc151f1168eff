/*
 * A relay's queries and its connecting, each with a deadline of ours: keepalives and the server's statement_timeout do
 * not help against a server that is stopped or hangs. In the relay's thread. What fails leaves the connection in an
 * unknown state: it has to be closed.
 */
#ifndef MR_INGESTOR_RELAY_QUERY_H
#define MR_INGESTOR_RELAY_QUERY_H

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct MrRelayWait
{
	const atomic_bool *stop; /* set by another thread: give up within a fraction of a second */
	int64_t connect_ms;
	int64_t answer_ms; /* for a query, until its last result */
} MrRelayWait;

/* As PQconnectdbParams. NULL with the reason in `error` when it failed. Names are resolved by a blocking call. */
extern PGconn *mr_relay_connect(const MrRelayWait *wait, const char *const *keys,
								const char *const *values, char *error, size_t error_size)
	__attribute__((warn_unused_result));
/*
 * Runs a statement with text parameters, or without any a list of statements. Returns its last result, rows or none;
 * NULL with the reason in `error` when it failed, was not answered in time, or `stop` was set.
 */
extern PGresult *mr_relay_query(PGconn *pg, const MrRelayWait *wait, const char *sql, int count,
								const char *const *values, bool binary, char *error,
								size_t error_size) __attribute__((warn_unused_result));

#endif
