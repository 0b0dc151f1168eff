/*
 * Preloaded into the ingestor under test: kill -9 at one step of the relay. KILL_AT is "before FUNCTION" or
 * "after FUNCTION"; PQexecParams counts only where it marks letters.
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

PGresult *
PQexecParams(PGconn *conn, const char *sql, int count, const Oid *types, const char *const *values,
			 const int *lengths, const int *formats, int format)
{
	PGresult *(*next)(PGconn *, const char *, int, const Oid *, const char *const *, const int *,
					  const int *, int) =
		(PGresult * (*) (PGconn *, const char *, int, const Oid *, const char *const *, const int *,
						 const int *, int) ) real("PQexecParams");
	int marks = strstr(sql, "relay_mark") != NULL;
	PGresult *result;

	if (marks)
		reached("before", "PQexecParams");
	result = next(conn, sql, count, types, values, lengths, formats, format);
	if (marks)
		reached("after", "PQexecParams");
	return result;
}
