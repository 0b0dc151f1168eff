/* libpq's asynchronous calls, and poll(). */
#include "ingestor/relay/relay_query.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "common/eventloop.h"
#include "common/pgconn.h"

#define SLICE_MS 250 /* how soon a stop is noticed */

/* Of one connection attempt or query. */
typedef struct Try
{
	PGconn *pg;
	const atomic_bool *stop;
	int64_t limit_ms;
	int64_t end_ms;
	char *error;
	size_t error_size;
} Try;

static bool connected(Try *try);
static bool send_all(Try *try);
static PGresult *read_all(Try *try);
static bool wait_for(Try *try, short events);
static bool fail(Try *try, const char *why);

PGconn *
mr_relay_connect(const MrRelayWait *wait, const char *const *keys, const char *const *values,
				 char *error, size_t error_size)
{
	PGconn *pg = PQconnectStartParams(keys, values, 1);
	Try try = {pg, wait->stop, wait->connect_ms, mr_now_ms() + wait->connect_ms, error, error_size};

	if (pg == NULL)
		fail(&try, "out of memory");
	else if (connected(&try) && (PQsetnonblocking(pg, 1) == 0 || fail(&try, PQerrorMessage(pg))))
		return pg;
	PQfinish(pg);
	return NULL;
}

PGresult *
mr_relay_query(PGconn *pg, const MrRelayWait *wait, const char *sql, int count,
			   const char *const *values, bool binary, char *error, size_t error_size)
{
	Try try = {pg, wait->stop, wait->answer_ms, mr_now_ms() + wait->answer_ms, error, error_size};
	PGresult *result;
	MrPgError detail;
	int sent = count > 0 ? PQsendQueryParams(pg, sql, count, NULL, values, NULL, NULL, binary)
						 : PQsendQuery(pg, sql);

	if (!sent)
		fail(&try, PQerrorMessage(pg));
	if (!sent || !send_all(&try) || (result = read_all(&try)) == NULL)
		return NULL;
	if (PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COMMAND_OK)
		return result;
	mr_pg_error_from_result(&detail, result);
	fail(&try, *detail.message ? detail.message : PQerrorMessage(pg));
	PQclear(result);
	return NULL;
}

static bool
connected(Try *try)
{
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;

	if (PQstatus(try->pg) == CONNECTION_BAD)
		return fail(try, PQerrorMessage(try->pg));
	while (next != PGRES_POLLING_OK)
	{
		if (!wait_for(try, next == PGRES_POLLING_READING ? POLLIN : POLLOUT))
			return false;
		next = PQconnectPoll(try->pg);
		if (next == PGRES_POLLING_FAILED)
			return fail(try, PQerrorMessage(try->pg));
	}
	return true;
}

static bool
send_all(Try *try)
{
	int left;

	/* The server may send before it has read everything: that is taken, or both would wait. */
	while ((left = PQflush(try->pg)) == 1)
		if (!wait_for(try, POLLIN | POLLOUT) ||
			(!PQconsumeInput(try->pg) && !fail(try, PQerrorMessage(try->pg))))
			return false;
	return left == 0 || fail(try, PQerrorMessage(try->pg));
}

/* The last result, or the first that is an error. */
static PGresult *
read_all(Try *try)
{
	PGresult *last = NULL;

	for (;;)
	{
		PGresult *result;

		while (PQisBusy(try->pg))
			if (!wait_for(try, POLLIN) ||
				(!PQconsumeInput(try->pg) && !fail(try, PQerrorMessage(try->pg))))
			{
				PQclear(last);
				return NULL;
			}
		result = PQgetResult(try->pg);
		if (result == NULL)
			break;
		if (last != NULL && PQresultStatus(last) == PGRES_FATAL_ERROR)
		{
			PQclear(result);
			continue;
		}
		PQclear(last);
		last = result;
	}
	if (last == NULL)
		fail(try, PQerrorMessage(try->pg));
	return last;
}

/* Until the socket is ready; false when the time is over or a stop is wanted. */
static bool
wait_for(Try *try, short events)
{
	for (;;)
	{
		struct pollfd fd = {PQsocket(try->pg), events, 0};
		int64_t left = try->end_ms - mr_now_ms();
		int ready;

		if (atomic_load(try->stop))
			return fail(try, "stopped");
		if (left <= 0)
		{
			snprintf(try->error, try->error_size, "PostgreSQL has not answered for %lld ms",
					 (long long) try->limit_ms);
			return false;
		}
		ready = poll(&fd, 1, (int) (left < SLICE_MS ? left : SLICE_MS));
		if (ready > 0 || (ready < 0 && errno != EINTR))
			return true; /* libpq finds out what is wrong */
	}
}

static bool
fail(Try *try, const char *why)
{
	snprintf(try->error, try->error_size, "%s", why);
	return false;
}
