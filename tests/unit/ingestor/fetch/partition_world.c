/* Carries out what the partition asks for, and remembers it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "partition_world.h"

Asked asked;
MrMoment at;

static MrFetchPartition partition;
MrFetchPartition *const part = &partition;

int
setup(void **state)
{
	(void) state;
	memset(&asked, 0, sizeof(asked));
	asked.fetch_from = -1;
	at = (MrMoment){.now_ms = 1000000};
	mr_partition_init(part, "stub", 1, NULL, 1);
	return 0;
}

void
carry_out(const MrEffects *effects)
{
	if (effects->fetch != MR_FETCH_KEEP)
	{
		asked.fetch = effects->fetch == MR_FETCH_FROM;
		asked.fetch_from = asked.fetch ? effects->fetch_from : -1;
	}
	if (effects->assign != MR_ASSIGN_KEEP)
	{
		asked.wants_assign = effects->assign == MR_ASSIGN_AT;
		asked.due_ms = effects->assign_at_ms;
	}
	asked.watermarks_asked += effects->ask == MR_PARTITION_ASKS_WATERMARKS;
	if (effects->ask == MR_PARTITION_ASKS_TIME)
		asked.located = effects->ask_time;
	if (effects->move)
		asked.moved_to = effects->move_to;
	asked.fenced += effects->fenced;
	if (effects->stop)
	{
		strcpy(asked.stopped, effects->error);
		strcpy(asked.stop_hint, effects->hint);
	}
}

bool
wants_assign(int64_t now_ms)
{
	return part->state == MR_PARTITION_WAITING && asked.wants_assign && asked.due_ms <= now_ms;
}

bool
check(int64_t offset, int64_t ts, uint32_t crc)
{
	MrEffects effects = {0};

	mr_partition_check(part, &at, offset, ts, crc, &effects);
	carry_out(&effects);
	return effects.take;
}

void
watermarks(bool ok, int64_t low, int64_t high)
{
	EVENT(mr_partition_watermarks, &at, part->question, ok, low, high);
}

void
seen(uint64_t call, int64_t epoch, int64_t next_offset, bool stopped)
{
	MrPositionRow row = {.partition = 1,
						 .epoch = epoch,
						 .next_offset = next_offset,
						 .stopped = stopped};

	EVENT(mr_partition_seen, &at, call, &row);
}

void
assign(int64_t next_offset, int64_t last_offset)
{
	MrAssignedRow row = {.epoch = 11,
						 .next_offset = next_offset,
						 .last_offset = last_offset,
						 .last_ts = 5,
						 .last_crc = 6,
						 .seek_ts = INT64_MIN};

	EVENT(mr_partition_granted, &at);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
	assert_true(wants_assign(at.now_ms));
	mr_partition_assign_sent(part);
	assert_false(wants_assign(at.now_ms));
	EVENT(mr_partition_assigned, &at, &row);
}
