/*
 * A lane's conversation with the server, a state machine on an asynchronous connection:
 *
 *   CLOSED -> CONNECTING -> OPENING -> IDLE -> ASSIGNING -> IDLE
 *                                      IDLE -> STAGING -> COPYING -> COMMITTING -> IDLE
 *                                      IDLE -> ADVANCING -> IDLE
 *   any state -> CLOSED when the connection or a commit's answer is lost
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/eventloop.h"
#include "common/log.h"
#include "common/sqlstate.h"
#include "ingestor/lane.h"
#include "ingestor/pipeline.h"

#define CHUNK_BYTES     65536
#define ADVANCE_WAIT_MS "500" /* the server waits for a free segment so long, then we ask again */
#define NO_ROW_RETRY_MS 1000

static void on_ready(void *owner);
static void on_result(void *owner, PGresult *result);
static void on_copy(void *owner);
static void on_done(void *owner);
static void on_lost(void *owner, const MrPgError *error);
static void opened(MrLane *lane, const PGresult *result);
static void assigned(MrLane *lane, const PGresult *result);
static void advanced(MrLane *lane, const PGresult *result);
static void query_failed(MrLane *lane);
static void assign_failed(MrLane *lane);
static void finish_assign(MrLane *lane, int delay_ms);
static int64_t get_int64(const PGresult *result, int row, const char *column, int64_t when_null);
static void set_segment(MrLane *lane, const char *segment);

static const MrPgconnEvents events = {
	.ready = on_ready,
	.result = on_result,
	.copy_in = on_copy,
	.drained = on_copy,
	.done = on_done,
	.lost = on_lost,
};

void
mr_lane_writer_attach(MrLane *lane, struct event_base *base, const char *dsn)
{
	char *application =
		mr_asprintf("millrace-ingestor %s/%d", mr_pipeline_name(lane->pipeline), lane->number);

	lane->conn = mr_pgconn_new(base, dsn, application, &events, lane);
	free(application);
}

void
mr_lane_writer_connect(MrLane *lane)
{
	assert(lane->state == MR_LANE_CLOSED);
	lane->state = MR_LANE_CONNECTING;
	mr_pgconn_connect(lane->conn);
}

void
mr_lane_writer_assign(MrLane *lane)
{
	char id[16];
	MrBuffer list = {0};
	const char *values[3] = {mr_pipeline_name(lane->pipeline), id, NULL};
	int64_t now = mr_now_ms();

	assert(lane->state == MR_LANE_IDLE);
	mr_buffer_append(&list, "{", 1);
	for (MrPartition *part = NULL; (part = mr_pipeline_next_of(lane->pipeline, lane, part));)
		if (mr_partition_wants_assign(part, now))
		{
			mr_buffer_printf(&list, "%s%d", list.len > 1 ? "," : "", part->number);
			mr_partition_assign_sent(part);
		}
	mr_buffer_append(&list, "}", 1);
	values[2] = mr_buffer_string(&list);
	snprintf(id, sizeof(id), "%d", lane->id);
	lane->state = MR_LANE_ASSIGNING;
	lane->failed = false;
	mr_pgconn_query_params(lane->conn, "SELECT * FROM millrace.assign($1, $2, $3)", 3, values);
	mr_buffer_free(&list);
}

void
mr_lane_writer_stage(MrLane *lane)
{
	assert(lane->state == MR_LANE_IDLE && lane->sending != NULL);
	mr_batch_sql(lane->sending, lane->id, lane->incarnation, lane->segment, &lane->sql);
	lane->state = MR_LANE_STAGING;
	lane->failed = false;
	mr_pgconn_query(lane->conn, mr_buffer_string(&lane->sql));
}

void
mr_lane_writer_advance(MrLane *lane)
{
	char id[16];
	char incarnation[24];
	const char *const values[] = {id, incarnation, ADVANCE_WAIT_MS};

	assert(lane->state == MR_LANE_IDLE);
	snprintf(id, sizeof(id), "%d", lane->id);
	snprintf(incarnation, sizeof(incarnation), "%lld", (long long) lane->incarnation);
	lane->state = MR_LANE_ADVANCING;
	lane->failed = false;
	mr_pgconn_query_params(lane->conn, "SELECT millrace.lane_next($1, $2, $3)", 3, values);
}

static void
on_ready(void *owner)
{
	MrLane *lane = owner;
	char preferred[16];
	const char *const values[] = {mr_pipeline_name(lane->pipeline), preferred};

	assert(lane->state == MR_LANE_CONNECTING);
	lane->state = MR_LANE_OPENING;
	lane->failed = false;
	lane->id = -1;
	snprintf(preferred, sizeof(preferred), "%d", lane->number);
	mr_pgconn_query_params(lane->conn, "SELECT * FROM millrace.lane_open($1, $2)", 2, values);
}

static void
on_result(void *owner, PGresult *result)
{
	MrLane *lane = owner;
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
	{
		if (!lane->failed)
			mr_pg_error_from_result(&lane->error, result);
		lane->failed = true;
		return;
	}
	switch (lane->state)
	{
		case MR_LANE_OPENING:
			opened(lane, result);
			break;
		case MR_LANE_ASSIGNING:
			assigned(lane, result);
			break;
		case MR_LANE_STAGING: /* stage()'s answer; the COPY is next */
			lane->segment_full = strtoll(PQgetvalue(result, 0, 0), NULL, 10) >= lane->segment_bytes;
			break;
		case MR_LANE_ADVANCING:
			advanced(lane, result);
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
	MrLane *lane = owner;
	const MrBuffer *data = &lane->sending->data;

	assert(lane->state == MR_LANE_STAGING || lane->state == MR_LANE_COPYING);
	lane->state = MR_LANE_COPYING;
	while (lane->sent < data->len)
	{
		size_t chunk = data->len - lane->sent < CHUNK_BYTES ? data->len - lane->sent : CHUNK_BYTES;

		lane->sent += chunk;
		if (!mr_pgconn_copy(lane->conn, data->data + lane->sent - chunk, chunk))
			return; /* full, or lost: `drained` or `lost` goes on */
	}
	lane->state = MR_LANE_COMMITTING;
	mr_pgconn_copy_end(lane->conn);
}

static void
on_done(void *owner)
{
	MrLane *lane = owner;
	MrLaneState was = lane->state;

	if (lane->failed)
	{
		query_failed(lane);
		return;
	}
	if (was == MR_LANE_STAGING || (was == MR_LANE_OPENING && lane->id < 0))
	{
		mr_lane_reset(lane, "the server's answer was not understood");
		return;
	}
	lane->state = MR_LANE_IDLE;
	if (was == MR_LANE_COMMITTING)
		mr_lane_staged(lane);
	else if (was == MR_LANE_ASSIGNING)
		finish_assign(lane, NO_ROW_RETRY_MS);
	mr_lane_pump(lane);
}

static void
on_lost(void *owner, const MrPgError *error)
{
	mr_lane_lost(owner, error);
}

static void
opened(MrLane *lane, const PGresult *result)
{
	if (PQntuples(result) != 1)
		return;
	lane->id = (int32_t) get_int64(result, 0, "lane", -1);
	lane->incarnation = get_int64(result, 0, "incarnation", 0);
	lane->segment_bytes = get_int64(result, 0, "segment_bytes", INT64_MAX);
	lane->segment_full = false;
	set_segment(lane, PQgetvalue(result, 0, PQfnumber(result, "segment")));
	mr_log(MR_LOG_INFO, "lane open", MR_STR("pipeline", mr_pipeline_name(lane->pipeline)),
		   MR_INT("lane", lane->id), MR_STR("segment", lane->segment));
}

static void
assigned(MrLane *lane, const PGresult *result)
{
	int number = PQfnumber(result, "partition");
	int state = PQfnumber(result, "state");

	for (int row = 0; row < PQntuples(result); row++)
	{
		MrPartition *part =
			mr_pipeline_partition(lane->pipeline, atoi(PQgetvalue(result, row, number)));
		MrAssigned answer = {
			.stopped = strcmp(PQgetvalue(result, row, state), "stopped") == 0,
			.epoch = get_int64(result, row, "epoch", 0),
			.next_offset = get_int64(result, row, "next_offset", 0),
			.last_offset = get_int64(result, row, "last_offset", -1),
			.last_ts = get_int64(result, row, "last_ts", -1),
			.last_crc = (uint32_t) get_int64(result, row, "last_crc", 0),
			.seek_ts = get_int64(result, row, "seek_ts", INT64_MIN),
		};

		if (part != NULL)
			mr_partition_assigned(part, &answer);
	}
}

static void
advanced(MrLane *lane, const PGresult *result)
{
	if (PQntuples(result) != 1 || PQgetisnull(result, 0, 0))
		return; /* none free yet: pump asks again */
	set_segment(lane, PQgetvalue(result, 0, 0));
	lane->segment_full = false;
}

/* The transaction was rolled back and the session stands; what that means depends on the class. */
static void
query_failed(MrLane *lane)
{
	MrSqlClass class = mr_sqlstate_class(lane->error.sqlstate);

	if (class == MR_SQL_FENCED &&
		(lane->state == MR_LANE_STAGING || lane->state == MR_LANE_COMMITTING))
	{
		mr_log(MR_LOG_INFO, "batch refused: its epoch is over",
			   MR_STR("pipeline", mr_pipeline_name(lane->pipeline)), MR_INT("lane", lane->id),
			   MR_STR("error", lane->error.message));
		lane->state = MR_LANE_IDLE;
		mr_lane_fenced(lane);
		mr_lane_pump(lane);
	}
	else if (class == MR_SQL_NO_ROW && lane->state == MR_LANE_ASSIGNING)
		assign_failed(lane);
	else
	{
		mr_pgconn_close(lane->conn);
		mr_lane_lost(lane, &lane->error);
	}
}

/* Partitions that are not in the catalogue (yet): add_partitions() comes first. */
static void
assign_failed(MrLane *lane)
{
	mr_log(MR_LOG_INFO, "partitions are not known yet",
		   MR_STR("pipeline", mr_pipeline_name(lane->pipeline)), MR_INT("lane", lane->id),
		   MR_STR("error", lane->error.message), MR_STR("hint", lane->error.hint));
	lane->state = MR_LANE_IDLE;
	finish_assign(lane, NO_ROW_RETRY_MS);
	mr_pipeline_refresh(lane->pipeline);
	mr_lane_pump(lane);
}

/* Partitions the answer said nothing about try again. */
static void
finish_assign(MrLane *lane, int delay_ms)
{
	for (MrPartition *part = NULL; (part = mr_pipeline_next_of(lane->pipeline, lane, part));)
		if (part->state == MR_PARTITION_ASSIGNING)
			mr_partition_doubt(part, delay_ms);
}

static int64_t
get_int64(const PGresult *result, int row, const char *column, int64_t when_null)
{
	int number = PQfnumber(result, column);

	if (number < 0 || PQgetisnull(result, row, number))
		return when_null;
	return strtoll(PQgetvalue(result, row, number), NULL, 10);
}

static void
set_segment(MrLane *lane, const char *segment)
{
	snprintf(lane->segment, sizeof(lane->segment), "%s", segment);
}
