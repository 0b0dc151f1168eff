/* The state machine of a partition, edge by edge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ingestor/fetch/partition.h"

static MrFetchPartition partition;
static MrFetchPartition *const part = &partition;
static MrMoment at;

/* What the partition asked for so far. */
static struct
{
	bool fetch;
	int64_t fetch_from;
	bool wants_assign;
	int64_t due_ms;
	int watermarks_asked, fenced;
	int64_t located;
	int64_t moved_to;
	char stopped[512];
	char stop_hint[512];
} asked;

static int
setup(void **state)
{
	(void) state;
	memset(&asked, 0, sizeof(asked));
	asked.fetch_from = -1;
	at = (MrMoment){.now_ms = 1000000};
	mr_partition_init(part, "stub", 1);
	return 0;
}

static void
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

/* One event: a function of partition.h with its arguments between the partition and the effects. */
#define EVENT(function_, ...)                                                                      \
	do                                                                                             \
	{                                                                                              \
		MrEffects effects_ = {0};                                                                  \
		function_(part, ##__VA_ARGS__, &effects_);                                                 \
		carry_out(&effects_);                                                                      \
	} while (0)

static bool
wants_assign(int64_t now_ms)
{
	return part->state == MR_PARTITION_WAITING && asked.wants_assign && asked.due_ms <= now_ms;
}

/* Is the message to be staged? */
static bool
check(int64_t offset, int64_t ts, uint32_t crc)
{
	MrEffects effects = {0};

	mr_partition_check(part, &at, offset, ts, crc, &effects);
	carry_out(&effects);
	return effects.take;
}

static void
watermarks(bool ok, int64_t low, int64_t high)
{
	EVENT(mr_partition_watermarks, &at, part->question, ok, low, high);
}

static void
seen(uint64_t call, int64_t epoch, int64_t next_offset, bool stopped)
{
	MrPositionRow row = {.partition = 1,
						 .epoch = epoch,
						 .next_offset = next_offset,
						 .stopped = stopped};

	EVENT(mr_partition_seen, &at, call, &row);
}

/* granted, assigned with the given identity */
static void
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

static void
first_assignment_flows_at_once(void **state)
{
	(void) state;
	assign(40, -1);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_true(asked.fetch);
	assert_int_equal(asked.fetch_from, 40);
}

static void
the_same_message_flows_on(void **state)
{
	(void) state;
	assign(40, 39);
	assert_int_equal(part->state, MR_PARTITION_CHECKING);
	assert_int_equal(asked.fetch_from, 39);
	assert_false(check(39, 5, 6));
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(asked.fetch_from, 39); /* the stream goes on: 40 comes next */
}

static void
a_far_position_is_sought(void **state)
{
	(void) state;
	assign(500, 39); /* skip_to() moved it ahead */
	check(39, 5, 6);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(asked.fetch_from, 500);
}

static void
another_message_stops(void **state)
{
	(void) state;
	assign(40, 39);
	assert_false(check(39, 5, 7));
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	assert_non_null(strstr(asked.stopped, "offset 39"));
	assert_non_null(strstr(asked.stop_hint, "skip_to"));
	assert_false(asked.fetch);
}

static void
another_time_stops(void **state)
{
	(void) state;
	assign(40, 39);
	check(39, 4, 6);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
}

static void
compacted_away_is_accepted(void **state)
{
	(void) state;
	assign(40, 39);
	assert_true(check(45, 1, 1));
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
}

static void
end_below_the_known_is_asked_about(void **state)
{
	(void) state;
	assign(40, 39);
	EVENT(mr_partition_end_seen, &at, 39);
	assert_int_equal(part->state, MR_PARTITION_RESOLVING);
	assert_int_equal(asked.watermarks_asked, 1);
	watermarks(true, 0, 39);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	assert_non_null(strstr(asked.stop_hint, "recreated or truncated"));
}

static void
retention_passed_stops_with_the_command(void **state)
{
	(void) state;
	assign(40, 39);
	EVENT(mr_partition_out_of_range);
	watermarks(true, 100, 200);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	assert_non_null(strstr(asked.stopped, "position 40 is below the topic's first offset, 100"));
	assert_non_null(strstr(asked.stop_hint, "SELECT millrace.skip_to('stub', 1, 100)"));
}

static void
retention_took_the_last_message_only(void **state)
{
	(void) state;
	assign(40, 35);
	EVENT(mr_partition_out_of_range);
	watermarks(true, 38, 60);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(asked.fetch_from, 40);
}

static void
position_above_the_end_stops(void **state)
{
	(void) state;
	assign(40, -1);
	EVENT(mr_partition_out_of_range);
	watermarks(true, 0, 12);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	assert_non_null(strstr(asked.stopped, "position 40 is above the topic's end, 12"));
}

static void
no_answer_is_tried_again(void **state)
{
	(void) state;
	assign(40, -1);
	EVENT(mr_partition_out_of_range);
	watermarks(false, 0, 0);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
	assert_true(asked.due_ms > at.now_ms);
	assert_int_equal(asked.stopped[0], 0);
}

static void
end_moves_the_position(void **state)
{
	(void) state;
	assign(4, 3);
	EVENT(mr_partition_end_seen, &at, 8); /* only markers behind 3, which compaction has taken */
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(asked.moved_to, 8);
	asked.moved_to = 0;
	EVENT(mr_partition_end_seen, &at, 8);
	assert_int_equal(asked.moved_to, 0);
}

static void
rewind_to_a_time_is_located(void **state)
{
	MrAssignedRow row = {.epoch = 11, .next_offset = 40, .last_offset = 39, .seek_ts = 777};

	(void) state;
	EVENT(mr_partition_granted, &at);
	mr_partition_assign_sent(part);
	EVENT(mr_partition_assigned, &at, &row);
	assert_int_equal(part->state, MR_PARTITION_RESOLVING);
	assert_int_equal(asked.located, 777);
	EVENT(mr_partition_located, &at, part->question, true, 12);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(asked.fetch_from, 12);
	assert_int_equal(part->position, 12);
}

static void
stopped_waits_for_a_verb(void **state)
{
	MrAssignedRow row = {.stopped = true, .seek_ts = INT64_MIN};

	(void) state;
	EVENT(mr_partition_granted, &at);
	mr_partition_assign_sent(part);
	EVENT(mr_partition_assigned, &at, &row);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	seen(1, 0, 40, true);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	seen(2, 0, 40, false);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
}

static void
our_stop_is_not_undone_by_an_older_answer(void **state)
{
	(void) state;
	at.positions_call = 5;
	assign(40, 39);
	check(39, 0, 0);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	seen(5, 11, 40, false);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
}

static void
another_epoch_means_fenced(void **state)
{
	(void) state;
	at.positions_call = 5;
	assign(40, -1);
	seen(5, 99, 40, false); /* asked before we were assigned */
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	seen(6, 11, 44, false);
	assert_int_equal(part->settled, 44);
	seen(7, 99, 40, false);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
	assert_int_equal(asked.fenced, 1);
	assert_false(wants_assign(at.now_ms));
	assert_true(wants_assign(at.now_ms + 200));
	assert_false(asked.fetch);
}

static void
fenced_again_and_again_waits_longer(void **state)
{
	int64_t longest = 0;

	(void) state;
	for (int i = 0; i < 8; i++)
	{
		part->state = MR_PARTITION_REVOKED;
		part->state = MR_PARTITION_WAITING;
		asked.due_ms = 0;
		mr_partition_assign_sent(part);
		EVENT(mr_partition_assigned, &at,
			  &(MrAssignedRow){.epoch = 11, .last_offset = -1, .seek_ts = INT64_MIN});
		seen(++at.positions_call, 99, 0, false);
		longest = asked.due_ms - at.now_ms;
	}
	assert_true(longest >= 990 && longest <= 2000);
}

static void
an_unconfirmed_epoch_waits_for_the_verdict(void **state)
{
	(void) state;
	assign(40, -1);
	EVENT(mr_partition_confirm, &at);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
	assert_false(wants_assign(at.now_ms));
	seen(at.positions_call, 11, 40, false); /* asked before */
	assert_true(part->confirming);
	seen(at.positions_call + 1, 11, 40, false);
	assert_true(wants_assign(at.now_ms));
	assert_int_equal(asked.fenced, 0);
}

static void
revoked_ignores_late_answers(void **state)
{
	MrAssignedRow row = {.epoch = 11, .next_offset = 40, .last_offset = -1, .seek_ts = INT64_MIN};

	(void) state;
	EVENT(mr_partition_granted, &at);
	mr_partition_assign_sent(part);
	EVENT(mr_partition_revoked);
	EVENT(mr_partition_assigned, &at, &row);
	watermarks(true, 0, 9);
	EVENT(mr_partition_located, &at, part->question, true, 3);
	EVENT(mr_partition_reassign, &at, 0);
	seen(9, 99, 1, true);
	assert_int_equal(part->state, MR_PARTITION_REVOKED);
	assert_false(asked.fetch);
}

static void
hold_and_release(void **state)
{
	(void) state;
	assign(40, -1);
	part->position = 55;
	EVENT(mr_partition_hold);
	assert_int_equal(part->state, MR_PARTITION_HELD);
	assert_false(asked.fetch);
	EVENT(mr_partition_release);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(asked.fetch_from, 55);
}

static void
begins_held_on_a_blocked_lane(void **state)
{
	(void) state;
	at.lane_held = true;
	assign(40, -1);
	assert_int_equal(part->state, MR_PARTITION_HELD);
	assert_false(asked.fetch);
}

static void
corrupt_is_fetched_again_then_stops(void **state)
{
	(void) state;
	assign(40, -1);
	for (int i = 0; i < 2; i++)
	{
		EVENT(mr_partition_corrupt, &at, "CRC");
		assert_int_equal(part->state, MR_PARTITION_WAITING);
		part->state = MR_PARTITION_ASSIGNING;
		EVENT(mr_partition_assigned, &at,
			  &(MrAssignedRow){
				  .epoch = 1, .next_offset = 40, .last_offset = -1, .seek_ts = INT64_MIN});
	}
	EVENT(mr_partition_corrupt, &at, "CRC");
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	assert_non_null(strstr(asked.stopped, "offset 40: CRC"));
}

static void
an_answer_to_an_older_question_is_late(void **state)
{
	uint32_t question;

	(void) state;
	assign(40, -1);
	EVENT(mr_partition_out_of_range);
	question = part->question;
	EVENT(mr_partition_reassign, &at, 0);
	mr_partition_assign_sent(part);
	EVENT(mr_partition_assigned, &at,
		  &(MrAssignedRow){.epoch = 12, .next_offset = 50, .last_offset = -1, .seek_ts = 777});
	assert_int_equal(part->state, MR_PARTITION_RESOLVING);
	EVENT(mr_partition_watermarks, &at, question, true, 0, 12);
	EVENT(mr_partition_located, &at, question, true, 3);
	assert_int_equal(part->state, MR_PARTITION_RESOLVING);
	assert_int_equal(part->position, 50);
	assert_int_equal(asked.stopped[0], 0);
}

static void
staged_of_another_epoch_does_not_count(void **state)
{
	(void) state;
	assign(40, -1);
	mr_partition_take(part, 40);
	mr_partition_staged(part, 10, 41);
	assert_int_equal(part->staged, 40);
	mr_partition_staged(part, 11, 41);
	assert_int_equal(part->staged, 41);
}

#define T(test_) cmocka_unit_test_setup(test_, setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(first_assignment_flows_at_once),
		T(the_same_message_flows_on),
		T(a_far_position_is_sought),
		T(another_message_stops),
		T(another_time_stops),
		T(compacted_away_is_accepted),
		T(end_below_the_known_is_asked_about),
		T(retention_passed_stops_with_the_command),
		T(retention_took_the_last_message_only),
		T(position_above_the_end_stops),
		T(no_answer_is_tried_again),
		T(end_moves_the_position),
		T(rewind_to_a_time_is_located),
		T(stopped_waits_for_a_verb),
		T(our_stop_is_not_undone_by_an_older_answer),
		T(another_epoch_means_fenced),
		T(fenced_again_and_again_waits_longer),
		T(an_unconfirmed_epoch_waits_for_the_verdict),
		T(revoked_ignores_late_answers),
		T(hold_and_release),
		T(begins_held_on_a_blocked_lane),
		T(corrupt_is_fetched_again_then_stops),
		T(an_answer_to_an_older_question_is_late),
		T(staged_of_another_epoch_does_not_count),
	};

	return cmocka_run_group_tests_name("ingestor/fetch/partition", tests, NULL, NULL);
}
