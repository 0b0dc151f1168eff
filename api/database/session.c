#include "api/database/session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/options.h"

struct MrSession
{
	MrPoolSetup setup;
	const MrSessionEvents *events;
	void *owner;
	MrPgconn *conn;
	MrSessionState state;
	MrQuery *query; /* PREPARING, RUNNING; NULL once it has its result */
	MrBackoff backoff;
	int64_t retry_ms;   /* DOWN: when to connect */
	MrStrings prepared; /* names of statements */
	bool is_stale;      /* they are prepared again, from the next time that it is idle on */
	MrCancel *cancel;   /* CANCELLING: asked for, and not known to be over */
	char *
		parsed; /* the statement without a name that the server has; NULL: none, or it is not to come again */
	int64_t parsed_ms;
	bool is_unsure;     /* CANCELLING: whether the statement was prepared */
	bool query_is_over; /* CANCELLING */
};

static void on_ready(void *owner);
static void on_result(void *owner, PGresult *result);
static void on_done(void *owner);
static void on_lost(void *owner, const MrPgError *error);
static void set_session(MrSession *session, MrSessionState state);
static void execute(MrSession *session);
static void forget_parsed(MrSession *session);
static void end_query(MrSession *session, MrQueryFailure failure, const PGresult *result,
					  const MrPgError *error);
static void settle_cancel(MrSession *session);
static void become_idle(MrSession *session);

const MrPgError mr_session_no_rows = {.sqlstate = "02000",
									  .message = "the statement returned no rows"};

void
mr_session_settings(char sql[MR_SESSION_SETTINGS_SIZE], const MrPoolSetup *setup)
{
	snprintf(sql, MR_SESSION_SETTINGS_SIZE,
			 "SET statement_timeout = %lld; SET default_transaction_read_only = %s; "
			 "SET TimeZone = 'UTC'; SET extra_float_digits = 1; SET IntervalStyle = 'postgres'; "
			 "DEALLOCATE ALL",
			 (long long) setup->query_ms, setup->writes ? "off" : "on");
}

MrQueryFailure
mr_session_failure_of(const char *sqlstate)
{
	if (strcmp(sqlstate, "57014") == 0)
		return MR_QUERY_TIMEOUT;
	if (strncmp(sqlstate, "08", 2) == 0 || strncmp(sqlstate, "57P", 3) == 0)
		return MR_QUERY_LOST;
	return MR_QUERY_ERROR;
}

/* A statement of the relation's own may raise 0A000, too, however often it is prepared. */
bool
mr_session_is_stale(const PGresult *error)
{
	const char *function = PQresultErrorField(error, PG_DIAG_SOURCE_FUNCTION);

	return function != NULL && strcmp(function, "RevalidateCachedQuery") == 0;
}

MrSession *
mr_session_new(const MrPoolSetup *setup, const MrSessionEvents *events, void *owner)
{
	static const MrPgconnEvents conn_events = {.ready = on_ready,
											   .result = on_result,
											   .done = on_done,
											   .lost = on_lost};
	MrSession *session = mr_calloc(1, sizeof(*session));

	session->setup = *setup;
	session->events = events;
	session->owner = owner;
	session->backoff = (MrBackoff){MR_SESSION_RETRY_MIN_MS, MR_SESSION_RETRY_MAX_MS, 0};
	session->conn = mr_pgconn_new(setup->base, setup->dsn, "millrace-api", &conn_events, session);
	mr_pgconn_set_answer_timeout(session->conn, setup->query_ms + MR_SESSION_ANSWER_MARGIN_MS);
	return session;
}

MrSessionState
mr_session_state(const MrSession *session)
{
	return session->state;
}

bool
mr_session_repeats(const MrSession *session, const MrQuery *query)
{
	return query->name != NULL && *query->name == '\0' && session->parsed != NULL &&
		   mr_now_ms() - session->parsed_ms < MR_SESSION_REPEAT_MS &&
		   strcmp(session->parsed, query->sql) == 0;
}

void
mr_session_run(MrSession *session, MrQuery *query)
{
	assert(session->state == MR_SESSION_IDLE);
	session->query = query;
	query->session = session;
	if (query->name == NULL || *query->name == '\0' ||
		mr_strings_has(&session->prepared, query->name))
	{
		execute(session);
		return;
	}
	session->state = MR_SESSION_PREPARING;
	mr_pgconn_prepare(session->conn, query->name, query->sql);
}

void
mr_session_abandon(MrSession *session)
{
	assert(session->state == MR_SESSION_PREPARING || session->state == MR_SESSION_RUNNING);
	session->query->session = NULL;
	session->query = NULL;
	session->is_unsure = session->state == MR_SESSION_PREPARING;
	session->state = MR_SESSION_CANCELLING;
	session->query_is_over = false;
	session->cancel =
		mr_canceller_ask(session->setup.canceller, mr_pgconn_cancel_handle(session->conn));
}

void
mr_session_renew(MrSession *session)
{
	assert(session->state == MR_SESSION_IDLE);
	mr_pgconn_close(session->conn);
	session->state = MR_SESSION_DOWN;
	session->retry_ms = 0;
}

void
mr_session_tick(MrSession *session, int64_t now_ms)
{
	if (session->state == MR_SESSION_CANCELLING)
		settle_cancel(session);
	if (session->state != MR_SESSION_DOWN || now_ms < session->retry_ms)
		return;
	session->state = MR_SESSION_CONNECTING;
	mr_pgconn_connect(session->conn);
}

void
mr_session_free(MrSession *session)
{
	if (session == NULL)
		return;
	mr_pgconn_free(session->conn);
	mr_cancel_free(session->setup.canceller, session->cancel);
	mr_strings_clear(&session->prepared);
	free(session->parsed);
	free(session);
}

static void
on_ready(void *owner)
{
	set_session(owner, MR_SESSION_SETTING);
}

static void
set_session(MrSession *session, MrSessionState state)
{
	char sql[MR_SESSION_SETTINGS_SIZE];

	mr_strings_clear(&session->prepared);
	session->is_stale = false;
	forget_parsed(session);
	session->state = state;
	mr_session_settings(sql, &session->setup);
	mr_pgconn_query(session->conn, sql);
}

/* The first result ends the query: its rows are handed on as libpq has them. The connection is free when all is read. */
static void
on_result(void *owner, PGresult *result)
{
	MrSession *session = owner;
	MrPgError error;

	if (PQresultStatus(result) == PGRES_FATAL_ERROR)
	{
		forget_parsed(session);
		session->is_stale |= mr_session_is_stale(result);
	}
	if (session->query == NULL)
		return;
	if (PQresultStatus(result) == PGRES_FATAL_ERROR)
	{
		mr_pg_error_from_result(&error, result);
		end_query(session, mr_session_failure_of(error.sqlstate), NULL, &error);
	}
	else if (session->state == MR_SESSION_RUNNING && PQresultStatus(result) == PGRES_TUPLES_OK)
		end_query(session, MR_QUERY_OK, result, NULL);
}

static void
on_done(void *owner)
{
	MrSession *session = owner;

	switch (session->state)
	{
		case MR_SESSION_SETTING:
		case MR_SESSION_RESETTING:
			mr_backoff_reset(&session->backoff);
			become_idle(session);
			break;
		case MR_SESSION_PREPARING:
			if (session->query == NULL)
			{
				become_idle(session);
				break;
			}
			mr_strings_add(&session->prepared, session->query->name);
			execute(session);
			break;
		case MR_SESSION_RUNNING:
			if (session->query != NULL)
				end_query(session, MR_QUERY_ERROR, NULL, &mr_session_no_rows);
			become_idle(session);
			break;
		case MR_SESSION_CANCELLING:
			session->query_is_over = true;
			settle_cancel(session);
			break;
		case MR_SESSION_DOWN:
		case MR_SESSION_CONNECTING:
		case MR_SESSION_IDLE:
			break;
	}
}

static void
on_lost(void *owner, const MrPgError *error)
{
	MrSession *session = owner;
	MrQuery *query = session->query;
	bool silent = strcmp(error->sqlstate, "08006") == 0;

	session->query = NULL;
	session->state = MR_SESSION_DOWN;
	session->retry_ms = mr_now_ms() + mr_backoff_next(&session->backoff, mr_random32());
	mr_cancel_free(session->setup.canceller, session->cancel);
	session->cancel = NULL;
	session->events->lost(session->owner, session, error, silent);
	if (query != NULL)
	{
		query->session = NULL;
		session->events->ended(session->owner, query, silent ? MR_QUERY_TIMEOUT : MR_QUERY_LOST,
							   NULL, error);
	}
}

static void
execute(MrSession *session)
{
	MrQuery *query = session->query;
	const char *const *values = (const char *const *) query->values;

	session->state = MR_SESSION_RUNNING;
	query->is_bare =
		mr_session_repeats(session, query) || (query->name != NULL && *query->name != '\0');
	if (query->is_bare)
	{
		mr_pgconn_execute(session->conn, query->name, query->count, values);
		return;
	}
	forget_parsed(session);
	if (query->name != NULL)
	{
		session->parsed = mr_strdup(query->sql);
		session->parsed_ms = mr_now_ms();
	}
	mr_pgconn_query_params(session->conn, query->sql, query->count, values);
}

static void
forget_parsed(MrSession *session)
{
	free(session->parsed);
	session->parsed = NULL;
}

static void
end_query(MrSession *session, MrQueryFailure failure, const PGresult *result,
		  const MrPgError *error)
{
	MrQuery *query = session->query;

	query->session = NULL;
	session->query = NULL;
	session->events->ended(session->owner, query, failure, result, error);
}

static void
settle_cancel(MrSession *session)
{
	if (!session->query_is_over || (session->cancel != NULL && !mr_cancel_is_over(session->cancel)))
		return;
	mr_cancel_free(session->setup.canceller, session->cancel);
	session->cancel = NULL;
	session->state = MR_SESSION_IDLE;
	if (session->is_unsure)
		mr_session_renew(session); /* another try to prepare it might find it there */
	else
		become_idle(session);
}

/* Names of statements come and go with the relation they are of: a connection does not collect them for ever. */
static void
become_idle(MrSession *session)
{
	session->state = MR_SESSION_IDLE;
	if (session->prepared.count >= MR_SESSION_STATEMENTS_MAX)
		mr_session_renew(session);
	else if (session->is_stale)
		set_session(session, MR_SESSION_RESETTING);
	else
		session->events->idle(session->owner, session);
}
