/* The state machine of one partition. */
#include "ingestor/assignment.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/log.h"
#include "ingestor/pipeline.h"

#define RETRY_MS         1000 /* after a broker did not answer */
#define SUSPECT_MS       5000 /* assign anyway when positions() stays away so long */
#define CORRUPT_ATTEMPTS 3

static const char *const state_names[MR_PARTITION_STATES] = {
	"revoked", "waiting", "assigning", "resolving", "checking", "flowing", "held", "stopped",
};

static void enter_waiting(MrPartition *part, int64_t delay_ms);
static void enter_checking(MrPartition *part);
static void enter_flowing(MrPartition *part, bool fetch_anew);
static void enter_stopped(MrPartition *part);
static void enter_resolving(MrPartition *part);
static void stop(MrPartition *part, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void fenced(MrPartition *part);

const char *
mr_partition_state_name(MrPartitionState state)
{
	return state_names[state];
}

bool
mr_partition_is_assigned(const MrPartition *part)
{
	return part->state == MR_PARTITION_RESOLVING || part->state == MR_PARTITION_CHECKING ||
		   part->state == MR_PARTITION_FLOWING || part->state == MR_PARTITION_HELD;
}

void
mr_partition_granted(MrPartition *part)
{
	if (part->state != MR_PARTITION_REVOKED)
		return;
	mr_backoff_reset(&part->backoff);
	part->committed = -1;
	part->corrupt = 0;
	enter_waiting(part, 0);
}

/* What is in the open batch may still be staged: the epoch says whether it counts. */
void
mr_partition_revoked(MrPartition *part)
{
	part->state = MR_PARTITION_REVOKED;
	part->ticket++;
	part->suspect = false;
}

bool
mr_partition_wants_assign(const MrPartition *part, int64_t now_ms)
{
	return part->state == MR_PARTITION_WAITING && part->due_ms <= now_ms &&
		   part->number < mr_pipeline_known(part->pipeline);
}

void
mr_partition_assign_sent(MrPartition *part)
{
	assert(part->state == MR_PARTITION_WAITING);
	part->state = MR_PARTITION_ASSIGNING;
	part->suspect = false;
}

void
mr_partition_assigned(MrPartition *part, const MrAssigned *row)
{
	if (part->state != MR_PARTITION_ASSIGNING)
		return; /* revoked meanwhile */
	if (row->stopped)
	{
		enter_stopped(part);
		return;
	}
	part->epoch = row->epoch;
	part->epoch_tick = mr_pipeline_tick(part->pipeline);
	part->position = part->staged = part->settled = row->next_offset;
	part->last_offset = row->last_offset;
	part->last_ts = row->last_ts;
	part->last_crc = row->last_crc;
	part->entry = -1;
	mr_log(MR_LOG_DEBUG, "partition assigned", MR_STR("pipeline", mr_pipeline_name(part->pipeline)),
		   MR_INT("partition", part->number), MR_INT("next_offset", part->position),
		   MR_INT("last_offset", part->last_offset));
	if (row->seek_ts != INT64_MIN)
	{
		enter_resolving(part);
		mr_pipeline_locate(part->pipeline, part, row->seek_ts);
	}
	else if (row->last_offset >= 0)
		enter_checking(part);
	else
		enter_flowing(part, true);
}

void
mr_partition_hold(MrPartition *part)
{
	assert(part->state == MR_PARTITION_FLOWING);
	part->state = MR_PARTITION_HELD;
	mr_pipeline_fetch(part->pipeline, part, false, 0);
}

void
mr_partition_release(MrPartition *part)
{
	assert(part->state == MR_PARTITION_HELD);
	part->state = MR_PARTITION_FLOWING;
	mr_pipeline_fetch(part->pipeline, part, true, part->position);
}

void
mr_partition_doubt(MrPartition *part, int delay_ms)
{
	if (part->state == MR_PARTITION_REVOKED || part->state == MR_PARTITION_STOPPED)
		return;
	enter_waiting(part, delay_ms);
}

void
mr_partition_suspect(MrPartition *part)
{
	if (!mr_partition_is_assigned(part))
		return;
	enter_waiting(part, SUSPECT_MS);
	part->suspect = true;
	part->epoch_tick = mr_pipeline_tick(part->pipeline);
}

/*
 * Is the topic the one we knew? The last settled message must still be what it was, unless
 * compaction took it away.
 */
MrVerdict
mr_partition_check(MrPartition *part, int64_t offset, int64_t ts, uint32_t crc)
{
	assert(part->state == MR_PARTITION_CHECKING);
	if (offset == part->last_offset)
	{
		if (ts != part->last_ts || crc != part->last_crc)
		{
			stop(part,
				 "The topic was recreated or truncated. See what it holds now, then choose the "
				 "position with millrace.skip_to() or millrace.rewind().",
				 "the message at offset %" PRId64 " is not the one that was processed", offset);
			return MR_VERDICT_DROP;
		}
		enter_flowing(part, part->position != offset + 1);
		return MR_VERDICT_DROP;
	}
	enter_flowing(part, part->position < part->last_offset);
	return offset >= part->position && !part->replan ? MR_VERDICT_TAKE : MR_VERDICT_DROP;
}

/* End of the partition (PARTITION_EOF): nothing more below `end`. */
void
mr_partition_end_seen(MrPartition *part, int64_t end)
{
	if (part->state == MR_PARTITION_CHECKING)
	{
		if (end <= part->last_offset || end < part->position)
		{
			mr_partition_out_of_range(part); /* the watermarks decide */
			return;
		}
		enter_flowing(part, part->position < part->last_offset);
	}
	if (part->state == MR_PARTITION_FLOWING && !part->replan && end > part->position)
		mr_pipeline_move(part->pipeline, part, end);
}

void
mr_partition_out_of_range(MrPartition *part)
{
	if (part->state != MR_PARTITION_CHECKING && part->state != MR_PARTITION_FLOWING)
		return;
	enter_resolving(part);
	mr_pipeline_ask_watermarks(part->pipeline, part);
}

/* librdkafka goes on behind a message set it cannot read: fetch again from where we stand instead. */
void
mr_partition_corrupt(MrPartition *part, const char *what)
{
	if (part->state != MR_PARTITION_CHECKING && part->state != MR_PARTITION_FLOWING)
		return;
	if (++part->corrupt >= CORRUPT_ATTEMPTS)
		stop(part, "Mend the broker's log, or leave the message out with millrace.skip_to().",
			 "could not read the message at or after offset %" PRId64 ": %s", part->position, what);
	else
		enter_waiting(part, RETRY_MS);
}

void
mr_partition_watermarks(MrPartition *part, bool ok, int64_t low, int64_t high)
{
	if (part->state != MR_PARTITION_RESOLVING)
		return;
	if (!ok)
		enter_waiting(part, RETRY_MS);
	else if (part->position < low)
	{
		char *hint = mr_asprintf("Retention has removed offsets %" PRId64 " to %" PRId64
								 " before they were processed. To go on without them: SELECT "
								 "millrace.skip_to('%s', %d, %" PRId64 ")",
								 part->position, low - 1, mr_pipeline_name(part->pipeline),
								 part->number, low);

		stop(part, hint, "position %" PRId64 " is below the topic's first offset, %" PRId64,
			 part->position, low);
		free(hint);
	}
	else if (part->position > high || part->last_offset >= high)
		stop(part,
			 "The topic was recreated or truncated. See what it holds now, then choose the "
			 "position with millrace.skip_to() or millrace.rewind().",
			 "position %" PRId64 " is above the topic's end, %" PRId64,
			 part->position > high ? part->position : part->last_offset + 1, high);
	else
		enter_flowing(part, true); /* retention took the last message only: nothing to compare */
}

/* A rewind to a time: the position is in the catalogue already. */
void
mr_partition_located(MrPartition *part, bool ok, int64_t offset)
{
	if (part->state != MR_PARTITION_RESOLVING)
		return;
	if (!ok)
	{
		enter_waiting(part, RETRY_MS);
		return;
	}
	part->position = part->staged = part->settled = offset;
	enter_flowing(part, true);
}

void
mr_partition_seen(MrPartition *part, uint64_t asked_tick, int64_t epoch, int64_t next_offset,
				  bool stopped)
{
	if (asked_tick <= part->epoch_tick)
		return; /* asked before our last step: it cannot know of it */
	if (part->state == MR_PARTITION_STOPPED)
	{
		if (!stopped)
			enter_waiting(part, 0);
		return;
	}
	if (part->state == MR_PARTITION_WAITING && part->suspect)
	{
		part->suspect = false;
		if (epoch == part->epoch)
			enter_waiting(part, 0);
		else
			fenced(part);
		return;
	}
	if (!mr_partition_is_assigned(part))
		return;
	if (stopped)
		enter_stopped(part);
	else if (epoch != part->epoch)
		fenced(part);
	else
	{
		part->settled = next_offset;
		if (part->state == MR_PARTITION_FLOWING)
			mr_backoff_reset(&part->backoff);
	}
}

static void
enter_waiting(MrPartition *part, int64_t delay_ms)
{
	part->state = MR_PARTITION_WAITING;
	part->ticket++;
	part->suspect = false;
	part->due_ms = mr_now_ms() + delay_ms;
	mr_pipeline_fetch(part->pipeline, part, false, 0);
	mr_pipeline_want_assign(part->pipeline, part);
}

static void
enter_checking(MrPartition *part)
{
	part->state = MR_PARTITION_CHECKING;
	mr_pipeline_fetch(part->pipeline, part, true, part->last_offset);
}

static void
enter_flowing(MrPartition *part, bool fetch_anew)
{
	part->state = MR_PARTITION_FLOWING;
	if (mr_pipeline_is_held(part->pipeline, part))
		mr_partition_hold(part);
	else if (fetch_anew)
		mr_pipeline_fetch(part->pipeline, part, true, part->position);
}

static void
enter_stopped(MrPartition *part)
{
	part->state = MR_PARTITION_STOPPED;
	part->ticket++;
	part->epoch_tick = mr_pipeline_tick(part->pipeline);
	mr_pipeline_fetch(part->pipeline, part, false, 0);
	mr_log(MR_LOG_WARN, "partition is stopped",
		   MR_STR("pipeline", mr_pipeline_name(part->pipeline)), MR_INT("partition", part->number),
		   MR_STR("hint", "millrace.partitions says why, and what to do"));
}

static void
enter_resolving(MrPartition *part)
{
	part->state = MR_PARTITION_RESOLVING;
	mr_pipeline_fetch(part->pipeline, part, false, 0);
}

static void
stop(MrPartition *part, const char *hint, const char *fmt, ...)
{
	char error[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(error, sizeof(error), fmt, args);
	va_end(args);
	mr_log(MR_LOG_ERROR, error, MR_STR("pipeline", mr_pipeline_name(part->pipeline)),
		   MR_INT("partition", part->number), MR_STR("hint", hint));
	mr_pipeline_stop_partition(part->pipeline, part, error, hint);
	enter_stopped(part);
}

/* Somebody else has the partition, or a verb moved it. A stale owner must not fight the real one. */
static void
fenced(MrPartition *part)
{
	int delay = mr_backoff_next(&part->backoff, mr_random32());

	mr_log(MR_LOG_INFO, "partition was assigned anew or moved elsewhere",
		   MR_STR("pipeline", mr_pipeline_name(part->pipeline)), MR_INT("partition", part->number),
		   MR_INT("again_in_ms", delay));
	mr_pipeline_count_fenced(part->pipeline);
	enter_waiting(part, delay);
}
