/* What a lane does next, and its two batches. */
#include "ingestor/lane.h"

#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/eventloop.h"
#include "common/log.h"
#include "ingestor/pipeline.h"

static const char *const state_names[MR_LANE_STATES] = {
	"closed",  "connecting", "opening",    "idle",      "assigning",
	"staging", "copying",    "committing", "advancing",
};

static void on_timer(evutil_socket_t fd, short what, void *arg);
static void set_timer(MrLane *lane);
static bool wants_assign(const MrLane *lane, bool in_batch);
static bool is_in_batch(const MrBatch *batch, int32_t partition);
static bool should_send(const MrLane *lane);
static void send_filling(MrLane *lane);
static MrBatchEntry *entry_of(MrLane *lane, MrPartition *part);
static void check_full(MrLane *lane);
static void unblock(MrLane *lane);
static void drop_batches(MrLane *lane);
static bool batch_is_full(const MrLane *lane);
static void close_lane(MrLane *lane);

MrLane *
mr_lane_new(struct MrPipeline *pipeline, int number, struct event_base *base, const char *dsn)
{
	MrLane *lane = mr_calloc(1, sizeof(*lane));

	lane->pipeline = pipeline;
	lane->number = number;
	lane->backoff = (MrBackoff){.min_ms = 100, .max_ms = 5000};
	lane->timer = evtimer_new(base, on_timer, lane);
	lane->next_batch_id = (int64_t) (mr_random64() >> 2);
	lane->filling = &lane->batches[0];
	mr_batch_begin(lane->filling, lane->next_batch_id++);
	mr_lane_writer_attach(lane, base, dsn);
	return lane;
}

void
mr_lane_pump(MrLane *lane)
{
	if (lane->state == MR_LANE_CLOSED)
	{
		if (wants_assign(lane, false) && lane->retry_at_ms <= mr_now_ms())
			mr_lane_writer_connect(lane);
	}
	else if (lane->state == MR_LANE_IDLE)
	{
		if (lane->segment_full)
			mr_lane_writer_advance(lane);
		else if (wants_assign(lane, true))
			send_filling(lane); /* what was taken under the epoch before goes first */
		else if (wants_assign(lane, false))
			mr_lane_writer_assign(lane);
		else if (should_send(lane))
			send_filling(lane);
	}
	set_timer(lane);
}

void
mr_lane_poke(MrLane *lane)
{
	mr_timer_set(lane->timer, 0);
}

void
mr_lane_add(MrLane *lane, MrPartition *part, MrRow *row, const uint32_t *full_crc)
{
	row->batch = lane->filling->id;
	mr_batch_add(lane->filling, entry_of(lane, part), row, full_crc);
	part->position = row->offset + 1;
	check_full(lane);
}

void
mr_lane_move(MrLane *lane, MrPartition *part, int64_t next)
{
	entry_of(lane, part)->next = next;
	part->position = next;
}

void
mr_lane_flush(MrLane *lane)
{
	if (mr_batch_is_empty(lane->filling))
		return;
	lane->flush = true;
	mr_lane_pump(lane);
}

bool
mr_lane_is_drained(const MrLane *lane)
{
	return lane->sending == NULL && mr_batch_is_empty(lane->filling);
}

bool
mr_lane_is_open(const MrLane *lane)
{
	return lane->state >= MR_LANE_IDLE;
}

/* A short blockage just leaves events in the client's queue; holding purges and fetches again. */
void
mr_lane_check_blocked(MrLane *lane, int64_t hold_after_ms)
{
	if (!lane->blocked || lane->held || mr_now_ms() - lane->blocked_since_ms < hold_after_ms)
		return;
	lane->held = true;
	mr_log(MR_LOG_INFO, "lane is blocked: fetching stops",
		   MR_STR("pipeline", mr_pipeline_name(lane->pipeline)), MR_INT("lane", lane->id),
		   MR_STR("state", state_names[lane->state]));
	for (MrPartition *part = NULL; (part = mr_pipeline_next_of(lane->pipeline, lane, part));)
		if (part->state == MR_PARTITION_FLOWING)
			mr_partition_hold(part);
	mr_pipeline_wake(lane->pipeline); /* the other lanes' events may be taken again */
}

void
mr_lane_reset(MrLane *lane, const char *why)
{
	MrPgError error = {.sqlstate = "MR002"};

	if (lane->state == MR_LANE_CLOSED)
		return;
	snprintf(error.message, sizeof(error.message), "%s", why);
	mr_pgconn_close(lane->conn);
	mr_lane_lost(lane, &error);
}

void
mr_lane_free(MrLane *lane)
{
	if (lane == NULL)
		return;
	mr_pgconn_free(lane->conn);
	event_free(lane->timer);
	mr_batch_free(&lane->batches[0]);
	mr_batch_free(&lane->batches[1]);
	mr_buffer_free(&lane->sql);
	free(lane);
}

const char *
mr_lane_state_name(MrLaneState state)
{
	return state_names[state];
}

/* The batch under way is committed. */
void
mr_lane_staged(MrLane *lane)
{
	MrBatch *batch = lane->sending;

	lane->sending = NULL;
	lane->batches_staged++;
	lane->bytes_staged += batch->data.len;
	lane->events_staged += (uint64_t) batch->rows;
	mr_histogram_add(&lane->stage_time, (double) (mr_now_ms() - lane->sending_since_ms) / 1000);
	mr_backoff_reset(&lane->backoff);
	for (int i = 0; i < batch->entry_count; i++)
		mr_pipeline_staged(lane->pipeline, batch->entries[i].partition, batch->entries[i].epoch,
						   batch->entries[i].next);
	unblock(lane);
}

/* Some partition of the batch has another epoch now. positions() will tell which. */
void
mr_lane_fenced(MrLane *lane)
{
	drop_batches(lane);
	for (MrPartition *part = NULL; (part = mr_pipeline_next_of(lane->pipeline, lane, part));)
		mr_partition_suspect(part);
	mr_pipeline_ask_positions(lane->pipeline);
}

/* The connection is closed already. */
void
mr_lane_lost(MrLane *lane, const MrPgError *error)
{
	int delay = mr_backoff_next(&lane->backoff, mr_random32());

	mr_log(MR_LOG_WARN, "lane lost", MR_STR("pipeline", mr_pipeline_name(lane->pipeline)),
		   MR_INT("lane", lane->id), MR_STR("state", state_names[lane->state]),
		   MR_STR("sqlstate", error->sqlstate), MR_STR("error", error->message),
		   MR_STR("hint", error->hint), MR_INT("again_in_ms", delay));
	lane->losses++;
	close_lane(lane);
	lane->retry_at_ms = mr_now_ms() + delay;
	for (MrPartition *part = NULL; (part = mr_pipeline_next_of(lane->pipeline, lane, part));)
		mr_partition_doubt(part, 0);
	set_timer(lane);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	mr_lane_pump(arg);
}

/* To the next moment at which time alone makes something due. */
static void
set_timer(MrLane *lane)
{
	int64_t now = mr_now_ms();
	int64_t due = INT64_MAX;

	for (MrPartition *part = NULL; (part = mr_pipeline_next_of(lane->pipeline, lane, part));)
		if (part->state == MR_PARTITION_WAITING && part->due_ms < due && part->due_ms > now)
			due = part->due_ms;
	if (lane->state == MR_LANE_CLOSED && lane->retry_at_ms > now)
		due = lane->retry_at_ms;
	if (due != INT64_MAX)
		mr_timer_set(lane->timer, due - now);
}

/* in_batch: only partitions that have an entry in the filling batch count. */
static bool
wants_assign(const MrLane *lane, bool in_batch)
{
	int64_t now = mr_now_ms();

	for (MrPartition *part = NULL; (part = mr_pipeline_next_of(lane->pipeline, lane, part));)
		if (mr_partition_wants_assign(part, now) &&
			(!in_batch || is_in_batch(lane->filling, part->number)))
			return true;
	return false;
}

static bool
is_in_batch(const MrBatch *batch, int32_t partition)
{
	for (int i = 0; i < batch->entry_count; i++)
		if (batch->entries[i].partition == partition)
			return true;
	return false;
}

/*
 * A lane that is idle sends what is there once the queue is momentarily empty: at a low rate an
 * event waits for one round trip only. Under load the batch grows while its predecessor is under
 * way.
 */
static bool
should_send(const MrLane *lane)
{
	if (mr_batch_is_empty(lane->filling))
		return false;
	return lane->flush || batch_is_full(lane) || !mr_pipeline_is_taking(lane->pipeline);
}

static void
send_filling(MrLane *lane)
{
	MrBatch *batch = lane->filling;

	assert(lane->sending == NULL);
	mr_batch_close(batch, mr_wall_ms());
	lane->sending = batch;
	lane->sending_since_ms = mr_now_ms();
	lane->sent = 0;
	lane->flush = false;
	lane->filling = batch == &lane->batches[0] ? &lane->batches[1] : &lane->batches[0];
	mr_batch_begin(lane->filling, lane->next_batch_id++);
	mr_lane_writer_stage(lane);
	unblock(lane);
}

/* entry indexes are kept in the partition; a stale one does not match and a new entry is made. */
static MrBatchEntry *
entry_of(MrLane *lane, MrPartition *part)
{
	return mr_batch_entry(lane->filling, &part->entry, part->number, part->epoch, part->position);
}

static void
check_full(MrLane *lane)
{
	if (lane->blocked || !batch_is_full(lane))
		return;
	mr_lane_pump(lane);
	if (batch_is_full(lane) && mr_lane_is_open(lane))
	{
		lane->blocked = true;
		lane->blocked_since_ms = mr_now_ms();
		mr_pipeline_blocked(lane->pipeline);
	}
}

/* The filling batch has room again. */
static void
unblock(MrLane *lane)
{
	if (!lane->blocked || batch_is_full(lane))
		return;
	lane->blocked = false;
	lane->blocked_seconds += (double) (mr_now_ms() - lane->blocked_since_ms) / 1000;
	if (lane->held)
	{
		lane->held = false;
		for (MrPartition *part = NULL; (part = mr_pipeline_next_of(lane->pipeline, lane, part));)
			if (part->state == MR_PARTITION_HELD)
				mr_partition_release(part);
	}
	mr_pipeline_wake(lane->pipeline);
}

static void
drop_batches(MrLane *lane)
{
	lane->sending = NULL;
	lane->flush = false;
	mr_batch_begin(lane->filling, lane->next_batch_id++);
	unblock(lane);
}

static bool
batch_is_full(const MrLane *lane)
{
	return mr_pipeline_batch_is_full(lane->pipeline, lane->filling);
}

static void
close_lane(MrLane *lane)
{
	lane->state = MR_LANE_CLOSED;
	lane->segment_full = false;
	drop_batches(lane);
}
