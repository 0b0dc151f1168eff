/* The state machine of one partition: one function per event, one per state that is entered. */
#include "ingestor/fetch/partition.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define RETRY_MS         1000 /* after a broker did not answer */
#define CONFIRM_MS       5000 /* assign anyway when positions() stays away so long */
#define CORRUPT_ATTEMPTS 3

/* The commands can be run as they are. */
#define ANOTHER_TOPIC_HINT                                                                         \
	"The topic was recreated or truncated. To process all that it holds now (again, if it was "    \
	"truncated): SELECT millrace.rewind('%s', to_time => '-infinity', %s, "                        \
	"allow_duplicates => true); "

static const char *const state_names[MR_PARTITION_STATES] = {
	"revoked", "waiting", "assigning", "resolving", "checking", "flowing", "held", "stopped",
};

static bool is_fetched(const MrFetchPartition *part);
static void enter_waiting(MrFetchPartition *part, const MrMoment *at, int delay_ms,
						  MrEffects *effects);
static void enter_resolving(MrFetchPartition *part, MrPartitionAsks ask, MrEffects *effects);
static void enter_checking(MrFetchPartition *part, MrEffects *effects);
static void enter_flowing(MrFetchPartition *part, const MrMoment *at, bool fetch_again,
						  MrEffects *effects);
static void enter_stopped(MrFetchPartition *part, const MrMoment *at, MrEffects *effects);
static void stop(MrFetchPartition *part, const MrMoment *at, MrEffects *effects, const char *fmt,
				 ...) __attribute__((format(printf, 4, 5)));
static void set_hint(MrEffects *effects, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void fenced(MrFetchPartition *part, const MrMoment *at, MrEffects *effects);

void
mr_partition_init(MrFetchPartition *part, const char *pipeline, int32_t number, const char *topic,
				  int32_t topic_partition)
{
	*part = (MrFetchPartition){.pipeline = pipeline,
							   .number = number,
							   .state = MR_PARTITION_REVOKED,
							   .backoff = {.min_ms = 200, .max_ms = 2000}};
	if (topic != NULL)
		snprintf(part->place, sizeof(part->place), "topic => '%s', partition => %d", topic,
				 topic_partition);
	else
		snprintf(part->place, sizeof(part->place), "partition => %d", number);
}

const char *
mr_partition_state_name(MrFetchState state)
{
	return state_names[state];
}

bool
mr_partition_is_assigned(const MrFetchPartition *part)
{
	return part->state == MR_PARTITION_RESOLVING || part->state == MR_PARTITION_CHECKING ||
		   part->state == MR_PARTITION_FLOWING || part->state == MR_PARTITION_HELD;
}

void
mr_partition_granted(MrFetchPartition *part, const MrMoment *at, MrEffects *effects)
{
	if (part->state != MR_PARTITION_REVOKED)
		return;
	mr_backoff_reset(&part->backoff);
	part->corrupt = 0;
	enter_waiting(part, at, 0, effects);
}

/* What is in the open batch may still be staged: the epoch says whether it counts. */
void
mr_partition_revoked(MrFetchPartition *part, MrEffects *effects)
{
	part->state = MR_PARTITION_REVOKED;
	part->question++;
	part->confirming = false;
	effects->assign = MR_ASSIGN_DROP;
	effects->fetch = MR_FETCH_STOP;
}

void
mr_partition_assign_sent(MrFetchPartition *part)
{
	assert(part->state == MR_PARTITION_WAITING);
	part->state = MR_PARTITION_ASSIGNING;
	part->confirming = false;
}

void
mr_partition_assigned(MrFetchPartition *part, const MrMoment *at, const MrAssignedRow *row,
					  MrEffects *effects)
{
	if (part->state != MR_PARTITION_ASSIGNING)
		return; /* revoked meanwhile */
	if (row->stopped)
	{
		enter_stopped(part, at, effects);
		return;
	}
	part->epoch = row->epoch;
	part->known_call = at->positions_call;
	part->position = part->staged = part->settled = row->next_offset;
	part->last_offset = row->last_offset;
	part->last_ts = row->last_ts;
	part->last_crc = row->last_crc;
	if (row->seek_ts != INT64_MIN)
	{
		enter_resolving(part, MR_PARTITION_ASKS_TIME, effects);
		effects->ask_time = row->seek_ts;
	}
	else if (row->last_offset >= 0)
		enter_checking(part, effects);
	else
		enter_flowing(part, at, true, effects);
}

void
mr_partition_staged(MrFetchPartition *part, int64_t epoch, int64_t next)
{
	if (part->epoch != epoch || !mr_partition_is_assigned(part))
		return;
	part->staged = next;
	part->corrupt = 0;
}

void
mr_partition_hold(MrFetchPartition *part, MrEffects *effects)
{
	if (part->state != MR_PARTITION_FLOWING)
		return;
	part->state = MR_PARTITION_HELD;
	effects->fetch = MR_FETCH_STOP;
}

void
mr_partition_release(MrFetchPartition *part, MrEffects *effects)
{
	if (part->state != MR_PARTITION_HELD)
		return;
	part->state = MR_PARTITION_FLOWING;
	effects->fetch = MR_FETCH_FROM;
	effects->fetch_from = part->position;
}

void
mr_partition_reassign(MrFetchPartition *part, const MrMoment *at, int delay_ms, MrEffects *effects)
{
	if (part->state == MR_PARTITION_REVOKED || part->state == MR_PARTITION_STOPPED)
		return;
	enter_waiting(part, at, delay_ms, effects);
}

void
mr_partition_forgotten(MrFetchPartition *part, const MrMoment *at, MrEffects *effects)
{
	if (part->state != MR_PARTITION_REVOKED)
		enter_waiting(part, at, 0, effects);
}

void
mr_partition_confirm(MrFetchPartition *part, const MrMoment *at, MrEffects *effects)
{
	if (!mr_partition_is_assigned(part))
		return;
	enter_waiting(part, at, CONFIRM_MS, effects);
	part->confirming = true;
	part->known_call = at->positions_call;
}

/*
 * Is the topic the one we knew? The last settled message must still be what it was, unless
 * compaction took it away.
 */
void
mr_partition_check(MrFetchPartition *part, const MrMoment *at, int64_t offset, int64_t ts,
				   uint32_t crc, MrEffects *effects)
{
	if (part->state != MR_PARTITION_CHECKING)
		return;
	if (offset != part->last_offset)
	{
		enter_flowing(part, at, part->position < part->last_offset, effects);
		effects->take = mr_partition_wants(part, offset) && effects->fetch == MR_FETCH_KEEP;
	}
	else if (ts == part->last_ts && crc == part->last_crc)
		enter_flowing(part, at, part->position != offset + 1, effects);
	else
	{
		set_hint(effects,
				 ANOTHER_TOPIC_HINT "To go on at the position: SELECT millrace.skip_to('%s', %s, "
									"\"offset\" => %" PRId64 ");",
				 part->pipeline, part->place, part->pipeline, part->place, part->position);
		stop(part, at, effects,
			 "the message at offset %" PRId64 " is not the one that was processed", offset);
	}
}

void
mr_partition_end_seen(MrFetchPartition *part, const MrMoment *at, int64_t end, MrEffects *effects)
{
	if (part->state == MR_PARTITION_CHECKING)
	{
		if (end <= part->last_offset || end < part->position)
		{
			mr_partition_out_of_range(part, effects); /* the watermarks decide */
			return;
		}
		enter_flowing(part, at, part->position < part->last_offset, effects);
	}
	if (part->state != MR_PARTITION_FLOWING || effects->fetch != MR_FETCH_KEEP ||
		end <= part->position)
		return;
	effects->move = true;
	effects->move_from = part->position;
	effects->move_to = part->position = end;
}

void
mr_partition_out_of_range(MrFetchPartition *part, MrEffects *effects)
{
	if (is_fetched(part))
		enter_resolving(part, MR_PARTITION_ASKS_WATERMARKS, effects);
}

/* librdkafka goes on behind a message set it cannot read: fetch again from the position instead. */
void
mr_partition_corrupt(MrFetchPartition *part, const MrMoment *at, const char *what,
					 MrEffects *effects)
{
	if (!is_fetched(part))
		return;
	if (++part->corrupt < CORRUPT_ATTEMPTS)
	{
		enter_waiting(part, at, RETRY_MS, effects);
		return;
	}
	set_hint(
		effects,
		"Repair the broker's log, then: SELECT millrace.resume('%s'); or leave the message out: "
		"SELECT millrace.skip_to('%s', %s, \"offset\" => %" PRId64 ");",
		part->pipeline, part->pipeline, part->place, part->position + 1);
	stop(part, at, effects, "could not read the message at or after offset %" PRId64 ": %s",
		 part->position, what);
}

void
mr_partition_watermarks(MrFetchPartition *part, const MrMoment *at, uint32_t question, bool ok,
						int64_t low, int64_t high, MrEffects *effects)
{
	if (part->state != MR_PARTITION_RESOLVING || question != part->question)
		return;
	if (!ok)
		enter_waiting(part, at, RETRY_MS, effects);
	else if (part->position < low)
	{
		set_hint(effects,
				 "Retention has removed offsets %" PRId64 " to %" PRId64
				 " before they were processed. To go on without them: SELECT "
				 "millrace.skip_to('%s', %s, \"offset\" => %" PRId64 ");",
				 part->position, low - 1, part->pipeline, part->place, low);
		stop(part, at, effects, "position %" PRId64 " is below the topic's first offset, %" PRId64,
			 part->position, low);
	}
	else if (part->position > high || part->last_offset >= high)
	{
		set_hint(effects,
				 ANOTHER_TOPIC_HINT "To go on at its end: SELECT "
									"millrace.rewind('%s', \"offset\" => %" PRId64
									", %s, allow_duplicates => true);",
				 part->pipeline, part->place, part->pipeline, high, part->place);
		stop(part, at, effects, "position %" PRId64 " is above the topic's end, %" PRId64,
			 part->position > high ? part->position : part->last_offset + 1, high);
	}
	else /* retention took the last message only: nothing to compare */
		enter_flowing(part, at, true, effects);
}

/* A rewind to a time: the position is in the catalogue already. */
void
mr_partition_located(MrFetchPartition *part, const MrMoment *at, uint32_t question, bool ok,
					 int64_t offset, MrEffects *effects)
{
	if (part->state != MR_PARTITION_RESOLVING || question != part->question)
		return;
	if (!ok)
	{
		enter_waiting(part, at, RETRY_MS, effects);
		return;
	}
	part->position = part->staged = part->settled = offset;
	enter_flowing(part, at, true, effects);
}

void
mr_partition_seen(MrFetchPartition *part, const MrMoment *at, uint64_t call,
				  const MrPositionRow *row, MrEffects *effects)
{
	if (call <= part->known_call)
		return; /* called before our last step: it cannot know of it */
	if (part->state == MR_PARTITION_STOPPED)
	{
		if (!row->stopped)
			enter_waiting(part, at, 0, effects);
	}
	else if (part->state == MR_PARTITION_WAITING && part->confirming)
	{
		if (row->epoch == part->epoch)
			enter_waiting(part, at, 0, effects);
		else
			fenced(part, at, effects);
	}
	else if (!mr_partition_is_assigned(part))
		return;
	else if (row->stopped)
		enter_stopped(part, at, effects);
	else if (row->epoch != part->epoch)
		fenced(part, at, effects);
	else
	{
		part->settled = row->next_offset;
		if (part->state == MR_PARTITION_FLOWING)
			mr_backoff_reset(&part->backoff);
	}
}

/* Messages and errors of Kafka mean something. */
static bool
is_fetched(const MrFetchPartition *part)
{
	return part->state == MR_PARTITION_CHECKING || part->state == MR_PARTITION_FLOWING;
}

static void
enter_waiting(MrFetchPartition *part, const MrMoment *at, int delay_ms, MrEffects *effects)
{
	part->state = MR_PARTITION_WAITING;
	part->question++;
	part->confirming = false;
	effects->fetch = MR_FETCH_STOP;
	effects->assign = MR_ASSIGN_AT;
	effects->assign_at_ms = at->now_ms + delay_ms;
}

static void
enter_resolving(MrFetchPartition *part, MrPartitionAsks ask, MrEffects *effects)
{
	part->state = MR_PARTITION_RESOLVING;
	part->question++;
	effects->fetch = MR_FETCH_STOP;
	effects->ask = ask;
}

static void
enter_checking(MrFetchPartition *part, MrEffects *effects)
{
	part->state = MR_PARTITION_CHECKING;
	effects->fetch = MR_FETCH_FROM;
	effects->fetch_from = part->last_offset;
}

/* fetch_again: the messages that are being fetched are not those from the position on. */
static void
enter_flowing(MrFetchPartition *part, const MrMoment *at, bool fetch_again, MrEffects *effects)
{
	if (at->lane_held)
	{
		part->state = MR_PARTITION_HELD;
		effects->fetch = MR_FETCH_STOP;
		return;
	}
	part->state = MR_PARTITION_FLOWING;
	if (fetch_again)
	{
		effects->fetch = MR_FETCH_FROM;
		effects->fetch_from = part->position;
	}
}

static void
enter_stopped(MrFetchPartition *part, const MrMoment *at, MrEffects *effects)
{
	part->state = MR_PARTITION_STOPPED;
	part->question++;
	part->known_call = at->positions_call;
	effects->fetch = MR_FETCH_STOP;
	effects->assign = MR_ASSIGN_DROP;
}

static void
stop(MrFetchPartition *part, const MrMoment *at, MrEffects *effects, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(effects->error, sizeof(effects->error), fmt, args);
	va_end(args);
	effects->stop = true;
	enter_stopped(part, at, effects);
}

static void
set_hint(MrEffects *effects, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(effects->hint, sizeof(effects->hint), fmt, args);
	va_end(args);
}

/* A stale owner must not fight the real one: it comes back later each time. */
static void
fenced(MrFetchPartition *part, const MrMoment *at, MrEffects *effects)
{
	effects->fenced = true;
	enter_waiting(part, at, mr_backoff_next(&part->backoff, at->random), effects);
}
