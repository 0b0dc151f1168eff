/* What a lane does next, and its two batches. */
#include "ingestor/stage/lane.h"

#include <assert.h>
#include <stdlib.h>

#include "common/eventloop.h"
#include "common/log.h"

static void on_assigned(void *owner, const MrAssignedRow *row);
static void on_assign_ended(void *owner);
static void on_staged(void *owner);
static void on_fenced(void *owner);
static void on_idle(void *owner);
static void on_lost(void *owner, MrLaneState was, const MrPgError *error);
static void on_timer(evutil_socket_t fd, short what, void *arg);
static void pump(MrStageLane *lane);
static void set_timer(MrStageLane *lane, int64_t now);
static MrAssignRequest *request_of(MrStageLane *lane, int32_t partition);
static void remove_request(MrStageLane *lane, MrAssignRequest *request);
static bool is_due(const MrAssignRequest *request, int64_t now_ms);
static bool wants_assign(const MrStageLane *lane, int64_t now, bool in_batch);
static void send_assign(MrStageLane *lane, int64_t now);
static int by_number(const void *a, const void *b);
static bool should_send(const MrStageLane *lane);
static void send_filling(MrStageLane *lane);
static void drop_batches(MrStageLane *lane);
static void unblock(MrStageLane *lane);

static const MrLaneWriterEvents writer_events = {
	.assigned = on_assigned,
	.assign_ended = on_assign_ended,
	.staged = on_staged,
	.fenced = on_fenced,
	.idle = on_idle,
	.lost = on_lost,
};

MrStageLane *
mr_lane_new(struct event_base *base, const char *dsn, const char *pipeline, int number,
			const MrBatchLimits *limits, const MrStageLaneEvents *events, void *owner)
{
	MrStageLane *lane = mr_calloc(1, sizeof(*lane));

	lane->pipeline = pipeline;
	lane->number = number;
	lane->limits = *limits;
	lane->events = events;
	lane->owner = owner;
	lane->backoff = (MrBackoff){.min_ms = 100, .max_ms = 5000};
	lane->timer = evtimer_new(base, on_timer, lane);
	lane->next_batch_id = (int64_t) (mr_random64() >> 2);
	lane->filling = &lane->batches[0];
	mr_batch_begin(lane->filling, lane->next_batch_id++);
	mr_lane_writer_init(&lane->writer, base, dsn, pipeline, number, &writer_events, lane);
	return lane;
}

void
mr_lane_set_limits(MrStageLane *lane, const MrBatchLimits *limits)
{
	lane->limits = *limits;
}

void
mr_lane_free(MrStageLane *lane)
{
	if (lane == NULL)
		return;
	mr_lane_writer_free(&lane->writer);
	event_free(lane->timer);
	mr_batch_free(&lane->batches[0]);
	mr_batch_free(&lane->batches[1]);
	free(lane->requests);
	free(lane);
}

/* By the timer, so that it is safe in the middle of anything. */
void
mr_lane_assign(MrStageLane *lane, int32_t partition, int64_t due_ms)
{
	MrAssignRequest *request = request_of(lane, partition);

	if (request == NULL)
	{
		if (lane->request_count == lane->request_cap)
		{
			lane->request_cap = lane->request_cap ? lane->request_cap * 2 : 8;
			lane->requests =
				mr_realloc(lane->requests, sizeof(MrAssignRequest) * (size_t) lane->request_cap);
		}
		request = &lane->requests[lane->request_count++];
	}
	*request = (MrAssignRequest){.partition = partition, .due_ms = due_ms};
	mr_timer_set(lane->timer, 0);
}

void
mr_lane_drop_assign(MrStageLane *lane, int32_t partition)
{
	MrAssignRequest *request = request_of(lane, partition);

	if (request != NULL)
		remove_request(lane, request);
}

void
mr_lane_add(MrStageLane *lane, MrStageEntry *entry, MrCopyRow *row, const uint32_t *full_crc)
{
	row->batch = lane->filling->id;
	mr_batch_add(lane->filling, entry, row, full_crc);
	if (lane->blocked || !mr_batch_is_full(lane->filling, &lane->limits))
		return;
	pump(lane);
	if (mr_batch_is_full(lane->filling, &lane->limits) && mr_lane_is_open(lane))
	{
		lane->blocked = true;
		lane->blocked_since_ms = mr_now_ms();
		lane->events->blocked(lane->owner, lane);
	}
}

void
mr_lane_move(MrStageLane *lane, MrStageEntry *entry, int64_t next)
{
	(void) lane;
	entry->part.next = next;
}

void
mr_lane_taken(MrStageLane *lane, bool more)
{
	lane->growing = more;
	if (!more && !mr_batch_is_empty(lane->filling))
		pump(lane);
}

void
mr_lane_flush(MrStageLane *lane)
{
	if (mr_batch_is_empty(lane->filling))
		return;
	lane->flush = true;
	pump(lane);
}

bool
mr_lane_is_drained(const MrStageLane *lane)
{
	return lane->sending == NULL && mr_batch_is_empty(lane->filling);
}

bool
mr_lane_is_open(const MrStageLane *lane)
{
	return lane->writer.state >= MR_LANE_IDLE;
}

const char *
mr_lane_closed_because(const MrStageLane *lane)
{
	if (mr_lane_is_open(lane) || lane->request_count == 0 || !mr_trouble_is_set(&lane->trouble))
		return NULL;
	return lane->trouble.text;
}

void
mr_lane_reset(MrStageLane *lane, const char *why)
{
	if (lane->writer.state != MR_LANE_CLOSED)
		mr_lane_writer_reset(&lane->writer, why);
}

double
mr_lane_blocked_seconds(const MrStageLane *lane, int64_t now_ms)
{
	double now = lane->blocked ? (double) (now_ms - lane->blocked_since_ms) / 1000 : 0;

	return lane->counts.blocked_seconds + now;
}

/* An answer to a request that was dropped or repeated meanwhile is reported too: the partition knows its state. */
static void
on_assigned(void *owner, const MrAssignedRow *row)
{
	MrStageLane *lane = owner;
	MrAssignRequest *request = request_of(lane, row->partition);

	if (request != NULL && request->sent)
		remove_request(lane, request);
	lane->events->assigned(lane->owner, lane, row);
}

/* Partitions that the answer says nothing about. The callback may ask again. */
static void
on_assign_ended(void *owner)
{
	MrStageLane *lane = owner;

	for (int i = 0; i < lane->request_count; i++)
	{
		int32_t partition = lane->requests[i].partition;

		if (!lane->requests[i].sent)
			continue;
		remove_request(lane, &lane->requests[i]);
		lane->events->unassigned(lane->owner, lane, partition);
		i = -1; /* the list is another now */
	}
}

static void
on_staged(void *owner)
{
	MrStageLane *lane = owner;
	MrStageBatch *batch = lane->sending;

	lane->sending = NULL;
	lane->counts.batches++;
	lane->counts.bytes += batch->data.len;
	lane->counts.events += (uint64_t) batch->events;
	mr_histogram_add(&lane->counts.stage_time,
					 (double) (mr_now_ms() - lane->sending_since_ms) / 1000);
	mr_backoff_reset(&lane->backoff);
	mr_trouble_clear(&lane->trouble);
	for (int i = 0; i < batch->entry_count; i++)
	{
		const MrStagedPart *part = &batch->entries[i].part;

		lane->events->staged(lane->owner, lane, part->partition, part->epoch, part->next);
	}
	unblock(lane);
}

static void
on_fenced(void *owner)
{
	MrStageLane *lane = owner;

	drop_batches(lane);
	lane->events->fenced(lane->owner, lane);
	unblock(lane);
}

static void
on_idle(void *owner)
{
	pump(owner);
}

static void
on_lost(void *owner, MrLaneState was, const MrPgError *error)
{
	MrStageLane *lane = owner;
	int delay = mr_backoff_next(&lane->backoff, mr_random32());

	if (was == MR_LANE_IDLE)
		mr_trouble_clear(&lane->trouble); /* it worked in between */
	mr_log(mr_trouble_set(&lane->trouble, error->message), "lane lost",
		   MR_STR("pipeline", lane->pipeline), MR_INT("lane", lane->writer.id),
		   MR_STR("state", mr_lane_state_name(was)), MR_STR("sqlstate", error->sqlstate),
		   MR_STR("error", error->message), MR_STR("hint", error->hint),
		   MR_INT("again_in_ms", delay));
	lane->counts.losses++;
	lane->retry_at_ms = mr_now_ms() + delay;
	lane->request_count = 0; /* those that still want it ask again, below */
	drop_batches(lane);
	lane->events->lost(lane->owner, lane);
	unblock(lane);
	set_timer(lane, mr_now_ms());
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	pump(arg);
}

/*
 * Does what is due, when nothing is under way. One look at the clock for all of it: what becomes due between two would
 * be neither done nor waited for, or assigned before its part of the filling batch is sent.
 */
static void
pump(MrStageLane *lane)
{
	MrLaneWriter *writer = &lane->writer;
	int64_t now = mr_now_ms();

	if (writer->state == MR_LANE_CLOSED)
	{
		if (wants_assign(lane, now, false) && lane->retry_at_ms <= now)
			mr_lane_writer_connect(writer);
	}
	else if (writer->state == MR_LANE_IDLE)
	{
		if (writer->segment_full)
			mr_lane_writer_advance(writer);
		else if (wants_assign(lane, now, true))
			send_filling(lane); /* what was taken under the epoch before goes first */
		else if (wants_assign(lane, now, false))
			send_assign(lane, now);
		else if (should_send(lane))
			send_filling(lane);
	}
	set_timer(lane, now);
}

/* To the next moment at which time alone makes something due. */
static void
set_timer(MrStageLane *lane, int64_t now)
{
	int64_t due = INT64_MAX;

	for (int i = 0; i < lane->request_count; i++)
		if (!lane->requests[i].sent && lane->requests[i].due_ms < due &&
			lane->requests[i].due_ms > now)
			due = lane->requests[i].due_ms;
	if (lane->writer.state == MR_LANE_CLOSED && lane->retry_at_ms > now)
		due = lane->retry_at_ms;
	if (due != INT64_MAX)
		mr_timer_set(lane->timer, due - now);
}

static MrAssignRequest *
request_of(MrStageLane *lane, int32_t partition)
{
	for (int i = 0; i < lane->request_count; i++)
		if (lane->requests[i].partition == partition)
			return &lane->requests[i];
	return NULL;
}

static void
remove_request(MrStageLane *lane, MrAssignRequest *request)
{
	*request = lane->requests[--lane->request_count];
}

static bool
is_due(const MrAssignRequest *request, int64_t now_ms)
{
	return !request->sent && request->due_ms <= now_ms;
}

/* in_batch: only partitions that have an entry in the filling batch count. */
static bool
wants_assign(const MrStageLane *lane, int64_t now, bool in_batch)
{
	for (int i = 0; i < lane->request_count; i++)
		if (is_due(&lane->requests[i], now) &&
			(!in_batch || mr_batch_has(lane->filling, lane->requests[i].partition)))
			return true;
	return false;
}

static void
send_assign(MrStageLane *lane, int64_t now)
{
	int32_t *partitions = mr_calloc((size_t) lane->request_count, sizeof(int32_t));
	int count = 0;

	for (int i = 0; i < lane->request_count; i++)
		if (is_due(&lane->requests[i], now))
		{
			lane->requests[i].sent = true;
			partitions[count++] = lane->requests[i].partition;
		}
	/* in ascending order, as all who lock several partitions do */
	qsort(partitions, (size_t) count, sizeof(int32_t), by_number);
	for (int i = 0; i < count; i++)
		lane->events->assigning(lane->owner, lane, partitions[i]);
	mr_lane_writer_assign(&lane->writer, partitions, count);
	free(partitions);
}

static int
by_number(const void *a, const void *b)
{
	int32_t left = *(const int32_t *) a;
	int32_t right = *(const int32_t *) b;

	return (left > right) - (left < right);
}

/*
 * A lane that is idle sends what is there once the queue is momentarily empty: at a low rate an
 * event waits for one round trip only. Under load the batch grows while its predecessor is under
 * way.
 */
static bool
should_send(const MrStageLane *lane)
{
	if (mr_batch_is_empty(lane->filling))
		return false;
	return lane->flush || !lane->growing || mr_batch_is_full(lane->filling, &lane->limits);
}

static void
send_filling(MrStageLane *lane)
{
	MrStageBatch *batch = lane->filling;

	assert(lane->sending == NULL);
	mr_batch_close(batch, mr_wall_ms());
	lane->sending = batch;
	lane->sending_since_ms = mr_now_ms();
	lane->flush = false;
	lane->filling = batch == &lane->batches[0] ? &lane->batches[1] : &lane->batches[0];
	mr_batch_begin(lane->filling, lane->next_batch_id++);
	mr_lane_writer_stage(&lane->writer, batch);
	unblock(lane);
}

static void
drop_batches(MrStageLane *lane)
{
	lane->sending = NULL;
	lane->flush = false;
	mr_batch_begin(lane->filling, lane->next_batch_id++);
}

/* The filling batch has room again. */
static void
unblock(MrStageLane *lane)
{
	if (!lane->blocked || mr_batch_is_full(lane->filling, &lane->limits))
		return;
	lane->counts.blocked_seconds = mr_lane_blocked_seconds(lane, mr_now_ms());
	lane->blocked = false;
	lane->events->room(lane->owner, lane);
}
