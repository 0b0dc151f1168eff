/* What is sent to the server, and what its answers mean. */
#include "ingestor/stage/lane_writer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/eventloop.h"
#include "common/log.h"
#include "common/sqlstate.h"

#define CHUNK_BYTES     65536
#define ADVANCE_WAIT_MS "500" /* the server waits for a free segment so long, then we ask again */

static void on_ready(void *owner);
static void on_result(void *owner, PGresult *result);
static void on_copy(void *owner);
static void on_done(void *owner);
static void on_lost(void *owner, const MrPgError *error);
static void set_state(MrLaneWriter *writer, MrLaneState state);
static void begin(MrLaneWriter *writer, MrLaneState state);
static void opened(MrLaneWriter *writer, const PGresult *result);
static void assigned(MrLaneWriter *writer, const PGresult *result);
static void advanced(MrLaneWriter *writer, const PGresult *result);
static void query_failed(MrLaneWriter *writer);
static void lose(MrLaneWriter *writer, const MrPgError *error);
static void set_segment(MrLaneWriter *writer, const char *segment);

static const MrPgconnEvents conn_events = {
	.ready = on_ready,
	.result = on_result,
	.copy_in = on_copy,
	.drained = on_copy,
	.done = on_done,
	.lost = on_lost,
};

static const char *const state_names[MR_LANE_STATES] = {
	"closed",  "connecting", "opening",    "idle",      "assigning",
	"staging", "copying",    "committing", "advancing",
};

void
mr_lane_writer_init(MrLaneWriter *writer, struct event_base *base, const char *dsn,
					const char *pipeline, int preferred, const MrLaneWriterEvents *events,
					void *owner)
{
	char *application = mr_asprintf("millrace-ingestor %s/%d", pipeline, preferred);

	*writer = (MrLaneWriter){.pipeline = pipeline,
							 .preferred = preferred,
							 .events = events,
							 .owner = owner,
							 .state_since_ms = mr_now_ms()};
	writer->conn = mr_pgconn_new(base, dsn, application, &conn_events, writer);
	free(application);
}

void
mr_lane_writer_connect(MrLaneWriter *writer)
{
	assert(writer->state == MR_LANE_CLOSED);
	set_state(writer, MR_LANE_CONNECTING);
	mr_pgconn_connect(writer->conn);
}

void
mr_lane_writer_assign(MrLaneWriter *writer, const int32_t *partitions, int count)
{
	char id[16];
	MrBuffer list = {0};
	const char *values[3] = {writer->pipeline, id, NULL};

	assert(writer->state == MR_LANE_IDLE);
	mr_buffer_append(&list, "{", 1);
	for (int i = 0; i < count; i++)
		mr_buffer_printf(&list, "%s%d", i ? "," : "", partitions[i]);
	mr_buffer_append(&list, "}", 1);
	values[2] = mr_buffer_string(&list);
	snprintf(id, sizeof(id), "%d", writer->id);
	begin(writer, MR_LANE_ASSIGNING);
	mr_pgconn_query_params(writer->conn, "SELECT * FROM millrace.assign($1, $2, $3)", 3, values);
	mr_buffer_free(&list);
}

void
mr_lane_writer_stage(MrLaneWriter *writer, const MrStageBatch *batch)
{
	assert(writer->state == MR_LANE_IDLE);
	writer->batch = batch;
	writer->sent = 0;
	mr_batch_sql(batch, writer->id, writer->incarnation, writer->segment, &writer->sql);
	begin(writer, MR_LANE_STAGING);
	mr_pgconn_query(writer->conn, mr_buffer_string(&writer->sql));
}

void
mr_lane_writer_advance(MrLaneWriter *writer)
{
	char id[16];
	char incarnation[24];
	const char *const values[] = {id, incarnation, ADVANCE_WAIT_MS};

	assert(writer->state == MR_LANE_IDLE);
	snprintf(id, sizeof(id), "%d", writer->id);
	snprintf(incarnation, sizeof(incarnation), "%lld", (long long) writer->incarnation);
	begin(writer, MR_LANE_ADVANCING);
	mr_pgconn_query_params(writer->conn, "SELECT millrace.lane_next($1, $2, $3)", 3, values);
}

void
mr_lane_writer_reset(MrLaneWriter *writer, const char *why)
{
	MrPgError error = {.sqlstate = "MR002"};

	assert(writer->state != MR_LANE_CLOSED);
	snprintf(error.message, sizeof(error.message), "%s", why);
	mr_pgconn_close(writer->conn);
	lose(writer, &error);
}

void
mr_lane_writer_free(MrLaneWriter *writer)
{
	mr_pgconn_free(writer->conn);
	mr_buffer_free(&writer->sql);
}

int64_t
mr_lane_writer_state_ms(const MrLaneWriter *writer, int64_t now_ms)
{
	return now_ms - writer->state_since_ms;
}

bool
mr_lane_writer_is_stuck(const MrLaneWriter *writer, int64_t now_ms)
{
	return writer->state != MR_LANE_CLOSED && writer->state != MR_LANE_IDLE &&
		   mr_lane_writer_state_ms(writer, now_ms) > MR_LANE_STUCK_MS;
}

const char *
mr_lane_state_name(MrLaneState state)
{
	return state_names[state];
}

static void
on_ready(void *owner)
{
	MrLaneWriter *writer = owner;
	char preferred[16];
	const char *const values[] = {writer->pipeline, preferred};

	assert(writer->state == MR_LANE_CONNECTING);
	writer->id = -1;
	snprintf(preferred, sizeof(preferred), "%d", writer->preferred);
	begin(writer, MR_LANE_OPENING);
	mr_pgconn_query_params(writer->conn, "SELECT * FROM millrace.lane_open($1, $2)", 2, values);
}

static void
on_result(void *owner, PGresult *result)
{
	MrLaneWriter *writer = owner;
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
	{
		if (!writer->failed)
			mr_pg_error_from_result(&writer->error, result);
		writer->failed = true;
		return;
	}
	switch (writer->state)
	{
		case MR_LANE_OPENING:
			opened(writer, result);
			break;
		case MR_LANE_ASSIGNING:
			assigned(writer, result);
			break;
		case MR_LANE_STAGING: /* stage()'s answer; the COPY is next */
			writer->segment_full =
				strtoll(PQgetvalue(result, 0, 0), NULL, 10) >= writer->segment_bytes;
			break;
		case MR_LANE_ADVANCING:
			advanced(writer, result);
			break;
		case MR_LANE_CLOSED:
		case MR_LANE_CONNECTING:
		case MR_LANE_IDLE:
		case MR_LANE_COPYING:
		case MR_LANE_COMMITTING:
			break;
	}
}

/* COPY has begun, or the socket takes more. */
static void
on_copy(void *owner)
{
	MrLaneWriter *writer = owner;
	const MrBuffer *data = &writer->batch->data;

	assert(writer->state == MR_LANE_STAGING || writer->state == MR_LANE_COPYING);
	set_state(writer, MR_LANE_COPYING);
	while (writer->sent < data->len)
	{
		size_t left = data->len - writer->sent;
		size_t chunk = left < CHUNK_BYTES ? left : CHUNK_BYTES;

		writer->sent += chunk;
		if (!mr_pgconn_copy(writer->conn, data->data + writer->sent - chunk, chunk))
			return; /* full, or lost: `drained` or `lost` goes on */
	}
	set_state(writer, MR_LANE_COMMITTING);
	mr_pgconn_copy_end(writer->conn);
}

static void
on_done(void *owner)
{
	MrLaneWriter *writer = owner;
	MrLaneState was = writer->state;

	if (writer->failed)
	{
		query_failed(writer);
		return;
	}
	if (was == MR_LANE_STAGING || (was == MR_LANE_OPENING && writer->id < 0))
	{
		mr_lane_writer_reset(writer, "the server's answer was not understood");
		return;
	}
	set_state(writer, MR_LANE_IDLE);
	if (was == MR_LANE_COMMITTING)
		writer->events->staged(writer->owner);
	else if (was == MR_LANE_ASSIGNING)
		writer->events->assign_ended(writer->owner);
	writer->events->idle(writer->owner);
}

static void
on_lost(void *owner, const MrPgError *error)
{
	lose(owner, error);
}

static void
set_state(MrLaneWriter *writer, MrLaneState state)
{
	writer->state = state;
	writer->state_since_ms = mr_now_ms();
}

static void
begin(MrLaneWriter *writer, MrLaneState state)
{
	set_state(writer, state);
	writer->failed = false;
}

static void
opened(MrLaneWriter *writer, const PGresult *result)
{
	MrLaneRow row;

	if (PQntuples(result) != 1)
		return;
	mr_lane_row_read(result, 0, &row);
	writer->id = row.lane;
	writer->incarnation = row.incarnation;
	writer->segment_bytes = row.segment_bytes;
	writer->segment_full = false;
	set_segment(writer, row.segment);
	mr_log(MR_LOG_INFO, "lane open", MR_STR("pipeline", writer->pipeline),
		   MR_INT("lane", writer->id), MR_STR("segment", writer->segment));
}

static void
assigned(MrLaneWriter *writer, const PGresult *result)
{
	for (int i = 0; i < PQntuples(result); i++)
	{
		MrAssignedRow row;

		mr_assigned_row_read(result, i, &row);
		writer->events->assigned(writer->owner, &row);
	}
}

static void
advanced(MrLaneWriter *writer, const PGresult *result)
{
	if (PQntuples(result) != 1 || PQgetisnull(result, 0, 0))
		return; /* none is free yet: the lane asks again */
	set_segment(writer, PQgetvalue(result, 0, 0));
	writer->segment_full = false;
}

/* The transaction was rolled back and the session goes on; what that means depends on the class. */
static void
query_failed(MrLaneWriter *writer)
{
	MrSqlClass class = mr_sqlstate_class(writer->error.sqlstate);

	if (class == MR_SQL_FENCED &&
		(writer->state == MR_LANE_STAGING || writer->state == MR_LANE_COMMITTING))
	{
		mr_log(MR_LOG_INFO, "batch refused: stale epoch", MR_STR("pipeline", writer->pipeline),
			   MR_INT("lane", writer->id), MR_STR("error", writer->error.message));
		set_state(writer, MR_LANE_IDLE);
		writer->events->fenced(writer->owner);
		writer->events->idle(writer->owner);
	}
	else
	{
		mr_pgconn_close(writer->conn);
		lose(writer, &writer->error);
	}
}

/* The connection is closed already. */
static void
lose(MrLaneWriter *writer, const MrPgError *error)
{
	MrLaneState was = writer->state;

	set_state(writer, MR_LANE_CLOSED);
	writer->segment_full = false;
	writer->batch = NULL;
	writer->events->lost(writer->owner, was, error);
}

static void
set_segment(MrLaneWriter *writer, const char *segment)
{
	snprintf(writer->segment, sizeof(writer->segment), "%s", segment);
}
