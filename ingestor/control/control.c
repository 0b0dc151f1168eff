/* The control connection and its queue of calls. */
#include "ingestor/control/control.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/backoff.h"
#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/log.h"
#include "common/pgconn.h"
#include "common/trouble.h"
#include "ingestor/control/advice.h"

typedef struct Call
{
	const char *sql; /* a literal */
	int count;
	char *values[MR_CONTROL_MAX_VALUES];
	MrControlAnswer answer;
	void *owner;
	uint64_t tag;
	struct Call *next;
} Call;

/* Of the calls with this text. */
typedef struct CallTrouble
{
	const char *sql; /* a literal; NULL: this and all that follow are free */
	MrTrouble trouble;
} CallTrouble;

#define MAX_CALL_TROUBLES                                                                          \
	16 /* more than there are texts; one that finds no room is logged each time */

struct MrControl
{
	MrPgconn *conn;
	struct event *retry;
	MrBackoff backoff;
	Call *first; /* under way when the connection is busy */
	Call *last;
	PGresult *result; /* of the call under way */
	void (*connected)(void *owner);
	void *owner;
	uint64_t losses;
	MrTrouble connecting;
	CallTrouble calling[MAX_CALL_TROUBLES];
};

static void on_ready(void *owner);
static void on_result(void *owner, PGresult *result);
static void on_copy(void *owner);
static void on_done(void *owner);
static void on_lost(void *owner, const MrPgError *error);
static void on_retry(evutil_socket_t fd, short what, void *arg);
static void send_next(MrControl *control);
static void call_failed(MrControl *control, const PGresult *result);
static MrTrouble *trouble_of(MrControl *control, const char *sql);
static void finish(MrControl *control, const PGresult *result);
static void free_call(Call *call);

static const MrPgconnEvents events = {
	.ready = on_ready,
	.result = on_result,
	.copy_in = on_copy,
	.drained = on_copy,
	.done = on_done,
	.lost = on_lost,
};

MrControl *
mr_control_new(struct event_base *base, const char *dsn, void (*connected)(void *owner),
			   void *owner)
{
	MrControl *control = mr_calloc(1, sizeof(*control));

	control->backoff = (MrBackoff){.min_ms = 100, .max_ms = 5000};
	control->connected = connected;
	control->owner = owner;
	control->conn = mr_pgconn_new(base, dsn, "millrace-ingestor", &events, control);
	control->retry = evtimer_new(base, on_retry, control);
	mr_timer_set(control->retry, 0);
	return control;
}

bool
mr_control_is_open(const MrControl *control)
{
	return mr_pgconn_is_open(control->conn);
}

void
mr_control_call(MrControl *control, const char *sql, int count, const char *const *values,
				MrControlAnswer answer, void *owner, uint64_t tag)
{
	Call *call = mr_calloc(1, sizeof(*call));

	assert(count <= MR_CONTROL_MAX_VALUES);
	call->sql = sql;
	call->count = count;
	for (int i = 0; i < count; i++)
		call->values[i] = mr_strdup(values[i]);
	call->answer = answer;
	call->owner = owner;
	call->tag = tag;
	if (control->last != NULL)
		control->last->next = call;
	else
		control->first = call;
	control->last = call;
	if (mr_pgconn_is_idle(control->conn))
		send_next(control);
}

uint64_t
mr_control_losses(const MrControl *control)
{
	return control->losses;
}

const char *
mr_control_trouble(const MrControl *control)
{
	if (mr_trouble_is_set(&control->connecting))
		return control->connecting.text;
	for (int i = 0; i < MAX_CALL_TROUBLES && control->calling[i].sql != NULL; i++)
		if (mr_trouble_is_set(&control->calling[i].trouble))
			return control->calling[i].trouble.text;
	return "";
}

void
mr_control_free(MrControl *control)
{
	if (control == NULL)
		return;
	mr_pgconn_free(control->conn);
	event_free(control->retry);
	PQclear(control->result);
	while (control->first != NULL)
	{
		Call *call = control->first;

		control->first = call->next;
		free_call(call);
	}
	free(control);
}

static void
on_ready(void *owner)
{
	MrControl *control = owner;

	mr_log(MR_LOG_INFO, "connected to PostgreSQL");
	mr_backoff_reset(&control->backoff);
	mr_trouble_clear(&control->connecting);
	control->connected(control->owner);
	if (mr_pgconn_is_idle(control->conn))
		send_next(control);
}

static void
on_result(void *owner, PGresult *result)
{
	MrControl *control = owner;

	/* Calls have one result; pgconn frees what it hands us, so a copy is kept. */
	PQclear(control->result);
	control->result = PQcopyResult(result, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
	if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
	{
		call_failed(control, result);
		PQclear(control->result);
		control->result = NULL;
	}
	else if (trouble_of(control, control->first->sql) != NULL)
		mr_trouble_clear(trouble_of(control, control->first->sql));
}

static void
on_copy(void *owner)
{
	(void) owner; /* no call of ours copies */
}

static void
on_done(void *owner)
{
	MrControl *control = owner;
	PGresult *result = control->result;

	control->result = NULL;
	finish(control, result);
	PQclear(result);
	if (mr_pgconn_is_idle(control->conn))
		send_next(control);
}

static void
on_lost(void *owner, const MrPgError *error)
{
	MrControl *control = owner;
	int delay = mr_backoff_next(&control->backoff, mr_random32());
	Call *calls = control->first;

	mr_log(mr_trouble_set(&control->connecting, error->message), "no connection to PostgreSQL",
		   MR_STR("sqlstate", error->sqlstate), MR_STR("error", error->message),
		   MR_STR("hint", error->hint), MR_INT("again_in_ms", delay));
	control->losses++;
	mr_timer_set(control->retry, delay);
	control->first = control->last = NULL;
	PQclear(control->result);
	control->result = NULL;
	while (calls != NULL)
	{
		Call *call = calls;

		calls = call->next;
		if (call->answer != NULL)
			call->answer(call->owner, NULL, call->tag);
		free_call(call);
	}
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	MrControl *control = arg;

	(void) fd;
	(void) what;
	mr_pgconn_connect(control->conn);
}

static void
send_next(MrControl *control)
{
	if (control->first != NULL)
		mr_pgconn_query_params(control->conn, control->first->sql, control->first->count,
							   (const char *const *) control->first->values);
}

static void
call_failed(MrControl *control, const PGresult *result)
{
	const char *sql = control->first->sql;
	MrTrouble *trouble = trouble_of(control, sql);
	MrPgError error;
	char hint[512];
	char text[sizeof(error.message) + sizeof(hint) + 16];
	bool same;

	mr_pg_error_from_result(&error, result);
	mr_control_advice(error.sqlstate, mr_pgconn_user(control->conn),
					  mr_pgconn_database(control->conn), hint, sizeof(hint));
	snprintf(text, sizeof(text), "%s%s%s", error.message, hint[0] != '\0' ? "; hint: " : "", hint);
	same = trouble != NULL && mr_trouble_set(trouble, text) == MR_LOG_DEBUG;
	mr_log(same ? MR_LOG_DEBUG : MR_LOG_ERROR, "call failed", MR_STR("sql", sql),
		   MR_STR("sqlstate", error.sqlstate), MR_STR("error", error.message),
		   MR_STR("hint", hint[0] != '\0' ? hint : error.hint));
}

static MrTrouble *
trouble_of(MrControl *control, const char *sql)
{
	for (int i = 0; i < MAX_CALL_TROUBLES; i++)
	{
		if (control->calling[i].sql == NULL)
			control->calling[i].sql = sql;
		if (control->calling[i].sql == sql)
			return &control->calling[i].trouble;
	}
	return NULL;
}

static void
finish(MrControl *control, const PGresult *result)
{
	Call *call = control->first;

	control->first = call->next;
	if (control->first == NULL)
		control->last = NULL;
	if (call->answer != NULL)
		call->answer(call->owner, result, call->tag);
	free_call(call);
}

static void
free_call(Call *call)
{
	for (int i = 0; i < call->count; i++)
		free(call->values[i]);
	free(call);
}
