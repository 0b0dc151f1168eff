/* A scripted libpq. One connection at a time is enough for a lane. */
#include "fake_pq_private.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PID 42

FakePq fake_pq;

static PGconn *current;

void
fake_pq_answer(void)
{
	fake_pq.answers++;
	fake_pq_make_readable(current);
}

void
fake_pq_script(const FakeStep *steps, int count)
{
	memset(&fake_pq, 0, sizeof(fake_pq));
	fake_pq.steps = steps;
	fake_pq.count = count;
}

PGresult *
fake_pq_result(ExecStatusType status, const char *columns, const char *values)
{
	PGresult *r = calloc(1, sizeof(*r));

	*r = (PGresult){status, columns ? columns : "", values ? values : ""};
	return r;
}

/* The n-th word of a text, in a static buffer; NULL when there are fewer. */
static const char *
word(const char *text, int n)
{
	static char buffers[8][200];
	static int next;
	char *out = buffers[next++ % 8];

	while (n-- > 0)
	{
		text = strchr(text, ' ');
		if (text == NULL)
			return NULL;
		text++;
	}
	snprintf(out, 200, "%.*s", (int) strcspn(text, " "), text);
	return out;
}

void
fake_pq_make_readable(PGconn *conn)
{
	assert_int_equal(write(conn->fds[1], "x", 1), 1);
}

const FakeStep *
fake_pq_step(const char *query)
{
	const FakeStep *step = &fake_pq.steps[fake_pq.at];

	if (fake_pq.at++ >= fake_pq.count)
		fail_msg("a query beyond the script: %s", query);
	if (strncmp(query, step->query, strlen(step->query)) != 0)
		fail_msg("expected %s, got %s", step->query, query);
	return step;
}

static int
begin(PGconn *conn, const char *query)
{
	if (conn->mode != NULL)
		return conn->mode->send(conn, query);
	assert_false(conn->running);
	conn->setup = strncmp(query, "SET search_path", 15) == 0;
	conn->running = true;
	conn->arrived = false;
	conn->given = 0;
	if (!conn->setup)
	{
		conn->step = fake_pq_step(query);
		fake_pq.copied_len = conn->step->answer >= FAKE_STAGE ? 0 : fake_pq.copied_len;
		if (conn->step->answer == FAKE_SILENCE)
			return 1;
	}
	fake_pq_make_readable(conn);
	return 1;
}

PGconn *
PQconnectStartParams(const char *const *keys, const char *const *values, int expand)
{
	PGconn *conn = calloc(1, sizeof(*conn));

	(void) keys;
	(void) values;
	(void) expand;
	fake_pq.connections++;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, conn->fds), 0);
	conn->broken = fake_pq.refuse;
	current = conn;
	return conn;
}

ConnStatusType
PQstatus(const PGconn *conn)
{
	return conn->broken ? CONNECTION_BAD : CONNECTION_OK;
}

PostgresPollingStatusType
PQconnectPoll(PGconn *conn)
{
	(void) conn;
	return PGRES_POLLING_OK;
}

int
PQsocket(const PGconn *conn)
{
	return conn->fds[0];
}

int
PQsetnonblocking(PGconn *conn, int arg)
{
	(void) conn;
	(void) arg;
	return 0;
}

PQnoticeReceiver
PQsetNoticeReceiver(PGconn *conn, PQnoticeReceiver proc, void *arg)
{
	(void) conn;
	(void) proc;
	(void) arg;
	return NULL;
}

int
PQbackendPID(const PGconn *conn)
{
	(void) conn;
	return PID;
}

char *
PQuser(const PGconn *conn)
{
	(void) conn;
	return (char *) "tester";
}

char *
PQdb(const PGconn *conn)
{
	(void) conn;
	return (char *) "base";
}

char *
PQerrorMessage(const PGconn *conn)
{
	(void) conn;
	return (char *) (fake_pq.error ? fake_pq.error : "the connection broke");
}

void
PQfinish(PGconn *conn)
{
	if (conn == NULL)
		return;
	close(conn->fds[0]);
	close(conn->fds[1]);
	free(conn->pipeline);
	free(conn);
}

int
PQsendQuery(PGconn *conn, const char *query)
{
	return begin(conn, query);
}

int
PQsendQueryParams(PGconn *conn, const char *query, int count, const Oid *types,
				  const char *const *values, const int *lengths, const int *formats, int format)
{
	size_t len = 0;

	(void) types;
	(void) lengths;
	(void) formats;
	(void) format;
	fake_pq.parameters[0] = '\0';
	for (int i = 0; i < count; i++)
		len += (size_t) snprintf(fake_pq.parameters + len, sizeof(fake_pq.parameters) - len, "%s%s",
								 i ? "|" : "", values[i]);
	return begin(conn, query);
}

/* In a script a statement is prepared by "PREPARE name", and executed by "EXECUTE name". */
int
PQsendPrepare(PGconn *conn, const char *name, const char *query, int count, const Oid *types)
{
	char text[200];

	(void) query;
	(void) count;
	(void) types;
	snprintf(text, sizeof(text), "PREPARE %s", name);
	return begin(conn, text);
}

int
PQsendQueryPrepared(PGconn *conn, const char *name, int count, const char *const *values,
					const int *lengths, const int *formats, int format)
{
	char text[200];

	snprintf(text, sizeof(text), "EXECUTE %s", name);
	return PQsendQueryParams(conn, text, count, NULL, values, lengths, formats, format);
}

struct pg_cancel
{
	int unused;
};

PGcancel *
PQgetCancel(PGconn *conn)
{
	(void) conn;
	return calloc(1, sizeof(PGcancel));
}

int
PQcancel(PGcancel *cancel, char *error, int size)
{
	(void) cancel;
	(void) error;
	(void) size;
	__atomic_add_fetch(&fake_pq.cancels, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&fake_pq.held, __ATOMIC_SEQ_CST) != 0)
		usleep(1000);
	return 1;
}

void
PQfreeCancel(PGcancel *cancel)
{
	free(cancel);
}

int
PQconsumeInput(PGconn *conn)
{
	char buffer[64];

	if (read(conn->fds[0], buffer, sizeof(buffer)) < 0)
		return 1;
	if (conn->mode != NULL)
		return conn->mode->consume(conn);
	if (!conn->setup && conn->step->answer == FAKE_CUT)
		conn->broken = true;
	if (!conn->setup && conn->step->answer == FAKE_STAGE_CUT && conn->given >= 2 && !conn->copying)
		conn->broken = true;
	conn->arrived = true;
	return !conn->broken;
}

int
PQisBusy(PGconn *conn)
{
	return conn->mode != NULL ? conn->mode->is_busy(conn) : !conn->arrived;
}

PGresult *
PQgetResult(PGconn *conn)
{
	static char pid[16];
	const FakeStep *step = conn->step;
	int n = conn->given++;

	if (conn->mode != NULL)
		return conn->mode->get_result(conn);
	if (conn->setup)
	{
		snprintf(pid, sizeof(pid), "%d", fake_pq.pooled ? PID + 1 : PID);
		if (n == 0)
			return fake_pq_result(PGRES_TUPLES_OK, "pg_backend_pid", pid);
	}
	else if (step->answer < FAKE_STAGE || step->answer == FAKE_SILENCE)
	{
		if (n == 0)
			return step->answer == FAKE_ERROR
					   ? fake_pq_result(PGRES_FATAL_ERROR, step->columns, step->values)
				   : step->answer == FAKE_NULL
					   ? fake_pq_result(PGRES_TUPLES_OK, "x", "-")
					   : fake_pq_result(PGRES_TUPLES_OK, step->columns, step->values);
	}
	else
	{
		if (n == 0)
			return fake_pq_result(PGRES_TUPLES_OK, "stage", step->values);
		if (n == 1)
		{
			conn->copying = true;
			return fake_pq_result(PGRES_COPY_IN, "", "");
		}
		assert_false(conn->copying);
		if (n == 2)
			return step->answer == FAKE_STAGE_ERROR || step->answer == FAKE_STAGE_EARLY
					   ? fake_pq_result(PGRES_FATAL_ERROR, step->columns, step->values)
					   : fake_pq_result(PGRES_COMMAND_OK, "", "");
	}
	conn->running = false;
	return NULL;
}

int
PQputCopyData(PGconn *conn, const char *data, int len)
{
	assert_true(conn->copying);
	if (fake_pq.no_memory)
	{
		fake_pq.no_memory = false;
		return 0;
	}
	assert_true(fake_pq.copied_len + (size_t) len <= sizeof(fake_pq.copied));
	memcpy(fake_pq.copied + fake_pq.copied_len, data, (size_t) len);
	fake_pq.copied_len += (size_t) len;
	conn->full = fake_pq.slow;
	return 1;
}

int
PQputCopyEnd(PGconn *conn, const char *error)
{
	assert_true(conn->copying);
	assert_null(error);
	conn->copying = false;
	if (conn->step->answer == FAKE_STAGE_EARLY)
		return 1; /* its answer has been read while the data was sent */
	conn->arrived = false;
	fake_pq_make_readable(conn);
	return 1;
}

int
PQflush(PGconn *conn)
{
	int full = conn->full;

	if (conn->mode != NULL)
		return conn->mode->flush(conn);
	conn->full = false;
	return full;
}

ExecStatusType
PQresultStatus(const PGresult *res)
{
	return res->status;
}

int
PQntuples(const PGresult *res)
{
	return res->status == PGRES_TUPLES_OK && *res->columns != '\0';
}

int
PQfnumber(const PGresult *res, const char *name)
{
	const char *column;

	for (int i = 0; (column = word(res->columns, i)) != NULL; i++)
		if (strcmp(column, name) == 0)
			return i;
	return -1;
}

char *
PQgetvalue(const PGresult *res, int row, int column)
{
	assert_int_equal(row, 0);
	return (char *) word(res->values, column);
}

int
PQgetisnull(const PGresult *res, int row, int column)
{
	return strcmp(PQgetvalue(res, row, column), "-") == 0;
}

char *
PQresultErrorField(const PGresult *res, int field)
{
	if (field == PG_DIAG_SOURCE_FUNCTION && *res->values != '\0')
		return (char *) res->values;
	return field == PG_DIAG_SQLSTATE ? (char *) res->columns : NULL;
}

char *
PQresultErrorMessage(const PGresult *res)
{
	(void) res;
	return (char *) "an error";
}

void
PQclear(PGresult *res)
{
	free(res);
}

PGresult *
PQcopyResult(const PGresult *src, int flags)
{
	PGresult *copy = malloc(sizeof(*copy));

	(void) flags;
	*copy = *src;
	return copy;
}
