/*
 * Preloaded into the ingestor under test: kill -9 at one step of the relay. KILL_AT is "before FUNCTION" or
 * "after FUNCTION"; the functions of libpq count only where they mark letters.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>

static void
reached(const char *when, const char *function)
{
	const char *step = getenv("KILL_AT");
	char here[128];

	snprintf(here, sizeof(here), "%s %s", when, function);
	if (step != NULL && strcmp(step, here) == 0)
		raise(SIGKILL);
}

static void *
real(const char *function)
{
	return dlsym(RTLD_NEXT, function);
}

#define STEP(type_, function_, parameters_, arguments_)                                            \
	type_ function_ parameters_                                                                    \
	{                                                                                              \
		type_(*next) parameters_ = (type_(*) parameters_) real(#function_);                        \
		type_ result;                                                                              \
                                                                                                   \
		reached("before", #function_);                                                             \
		result = next arguments_;                                                                  \
		reached("after", #function_);                                                              \
		return result;                                                                             \
	}

STEP(rd_kafka_error_t *, rd_kafka_init_transactions, (rd_kafka_t * rk, int ms), (rk, ms))
STEP(rd_kafka_error_t *, rd_kafka_begin_transaction, (rd_kafka_t * rk), (rk))
STEP(rd_kafka_error_t *, rd_kafka_commit_transaction, (rd_kafka_t * rk, int ms), (rk, ms))
STEP(rd_kafka_resp_err_t, rd_kafka_flush, (rd_kafka_t * rk, int ms), (rk, ms))
STEP(int, rd_kafka_consume_start_queue,
	 (rd_kafka_topic_t * topic, int32_t partition, int64_t offset, rd_kafka_queue_t *queue),
	 (topic, partition, offset, queue))

/* A mark was sent, and its result has not been read. */
static _Thread_local int marking;

int
PQsendQueryParams(PGconn *conn, const char *sql, int count, const Oid *types,
				  const char *const *values, const int *lengths, const int *formats, int format)
{
	int (*next)(PGconn *, const char *, int, const Oid *, const char *const *, const int *,
				const int *, int) =
		(int (*)(PGconn *, const char *, int, const Oid *, const char *const *, const int *,
				 const int *, int)) real("PQsendQueryParams");
	int result;

	marking = strstr(sql, "relay_mark") != NULL;
	if (marking)
		reached("before", "PQsendQueryParams");
	result = next(conn, sql, count, types, values, lengths, formats, format);
	if (marking)
		reached("after", "PQsendQueryParams");
	return result;
}

PGresult *
PQgetResult(PGconn *conn)
{
	PGresult *(*next)(PGconn *) = (PGresult * (*) (PGconn *) ) real("PQgetResult");
	PGresult *result;

	if (marking)
		reached("before", "PQgetResult");
	result = next(conn);
	if (marking)
		reached("after", "PQgetResult");
	marking = 0;
	return result;
}
