/* The state machine of a partition, edge by edge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/eventloop.h"
#include "common/log.h"
#include "stub_pipeline.h"

static MrPartition *const part = &stub.parts[1];

static int
setup(void **state)
{
	(void) state;
	mr_log_setup("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
	stub_reset();
	return 0;
}

/* granted, assigned with the given identity */
static void
assign(int64_t next_offset, int64_t last_offset)
{
	MrAssigned row = {.epoch = 11,
					  .next_offset = next_offset,
					  .last_offset = last_offset,
					  .last_ts = 5,
					  .last_crc = 6,
					  .seek_ts = INT64_MIN};

	mr_partition_granted(part);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
	assert_true(mr_partition_wants_assign(part, mr_now_ms()));
	mr_partition_assign_sent(part);
	assert_false(mr_partition_wants_assign(part, mr_now_ms()));
	mr_partition_assigned(part, &row);
}

static void
first_assignment_flows_at_once(void **state)
{
	(void) state;
	assign(40, -1);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_true(stub.fetch[1]);
	assert_int_equal(stub.fetch_from[1], 40);
}

static void
the_same_message_flows_on(void **state)
{
	(void) state;
	assign(40, 39);
	assert_int_equal(part->state, MR_PARTITION_CHECKING);
	assert_int_equal(stub.fetch_from[1], 39);
	assert_int_equal(mr_partition_check(part, 39, 5, 6), MR_VERDICT_DROP);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(stub.fetch_from[1], 39); /* the stream goes on: 40 comes next */
}

static void
a_far_position_is_sought(void **state)
{
	(void) state;
	assign(500, 39); /* skip_to() moved it ahead */
	mr_partition_check(part, 39, 5, 6);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(stub.fetch_from[1], 500);
}

static void
another_message_stops(void **state)
{
	(void) state;
	assign(40, 39);
	assert_int_equal(mr_partition_check(part, 39, 5, 7), MR_VERDICT_DROP);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	assert_non_null(strstr(stub.stopped, "offset 39"));
	assert_non_null(strstr(stub.stop_hint, "skip_to"));
	assert_false(stub.fetch[1]);
}

static void
another_time_stops(void **state)
{
	(void) state;
	assign(40, 39);
	mr_partition_check(part, 39, 4, 6);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
}

static void
compacted_away_is_accepted(void **state)
{
	(void) state;
	assign(40, 39);
	assert_int_equal(mr_partition_check(part, 45, 1, 1), MR_VERDICT_TAKE);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
}

static void
end_below_the_known_is_asked_about(void **state)
{
	(void) state;
	assign(40, 39);
	mr_partition_end_seen(part, 39);
	assert_int_equal(part->state, MR_PARTITION_RESOLVING);
	assert_int_equal(stub.watermarks_asked, 1);
	mr_partition_watermarks(part, true, 0, 39);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	assert_non_null(strstr(stub.stop_hint, "recreated or truncated"));
}

static void
retention_passed_stops_with_the_command(void **state)
{
	(void) state;
	assign(40, 39);
	mr_partition_out_of_range(part);
	mr_partition_watermarks(part, true, 100, 200);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	assert_non_null(strstr(stub.stopped, "position 40 is below the topic's first offset, 100"));
	assert_non_null(strstr(stub.stop_hint, "SELECT millrace.skip_to('stub', 1, 100)"));
}

static void
retention_took_the_last_message_only(void **state)
{
	(void) state;
	assign(40, 35);
	mr_partition_out_of_range(part);
	mr_partition_watermarks(part, true, 38, 60);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(stub.fetch_from[1], 40);
}

static void
position_above_the_end_stops(void **state)
{
	(void) state;
	assign(40, -1);
	mr_partition_out_of_range(part);
	mr_partition_watermarks(part, true, 0, 12);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	assert_non_null(strstr(stub.stopped, "position 40 is above the topic's end, 12"));
}

static void
no_answer_is_tried_again(void **state)
{
	(void) state;
	assign(40, -1);
	mr_partition_out_of_range(part);
	mr_partition_watermarks(part, false, 0, 0);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
	assert_true(part->due_ms > mr_now_ms());
	assert_int_equal(stub.stopped[0], 0);
}

static void
end_moves_the_position(void **state)
{
	(void) state;
	assign(4, 3);
	mr_partition_end_seen(part, 8); /* only markers behind 3, which compaction has taken */
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(stub.moved_to, 8);
	stub.moved_to = 0;
	mr_partition_end_seen(part, 8);
	assert_int_equal(stub.moved_to, 0);
}

static void
rewind_to_a_time_is_located(void **state)
{
	MrAssigned row = {.epoch = 11, .next_offset = 40, .last_offset = 39, .seek_ts = 777};

	(void) state;
	mr_partition_granted(part);
	mr_partition_assign_sent(part);
	mr_partition_assigned(part, &row);
	assert_int_equal(part->state, MR_PARTITION_RESOLVING);
	assert_int_equal(stub.located, 777);
	mr_partition_located(part, true, 12);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(stub.fetch_from[1], 12);
	assert_int_equal(part->position, 12);
}

static void
stopped_waits_for_a_verb(void **state)
{
	MrAssigned row = {.stopped = true, .seek_ts = INT64_MIN};

	(void) state;
	mr_partition_granted(part);
	mr_partition_assign_sent(part);
	mr_partition_assigned(part, &row);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	mr_partition_seen(part, 1, 0, 40, true);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	mr_partition_seen(part, 2, 0, 40, false);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
}

static void
our_stop_is_not_undone_by_an_older_answer(void **state)
{
	(void) state;
	stub.tick = 5;
	assign(40, 39);
	mr_partition_check(part, 39, 0, 0);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	mr_partition_seen(part, 5, 11, 40, false);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
}

static void
another_epoch_means_fenced(void **state)
{
	(void) state;
	stub.tick = 5;
	assign(40, -1);
	mr_partition_seen(part, 5, 99, 40, false); /* asked before we were assigned */
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	mr_partition_seen(part, 6, 11, 44, false);
	assert_int_equal(part->settled, 44);
	mr_partition_seen(part, 7, 99, 40, false);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
	assert_int_equal(stub.fenced, 1);
	assert_false(mr_partition_wants_assign(part, mr_now_ms()));
	assert_true(mr_partition_wants_assign(part, mr_now_ms() + 200));
	assert_false(stub.fetch[1]);
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
		part->due_ms = 0;
		mr_partition_assign_sent(part);
		mr_partition_assigned(part,
							  &(MrAssigned){.epoch = 11, .last_offset = -1, .seek_ts = INT64_MIN});
		mr_partition_seen(part, ++stub.tick, 99, 0, false);
		longest = part->due_ms - mr_now_ms();
	}
	assert_true(longest >= 990 && longest <= 2000);
}

static void
suspect_waits_for_the_verdict(void **state)
{
	(void) state;
	assign(40, -1);
	mr_partition_suspect(part);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
	assert_false(mr_partition_wants_assign(part, mr_now_ms()));
	mr_partition_seen(part, stub.tick, 11, 40, false); /* asked before */
	assert_true(part->suspect);
	mr_partition_seen(part, stub.tick + 1, 11, 40, false);
	assert_true(mr_partition_wants_assign(part, mr_now_ms()));
	assert_int_equal(stub.fenced, 0);
}

static void
revoked_ignores_late_answers(void **state)
{
	MrAssigned row = {.epoch = 11, .next_offset = 40, .last_offset = -1, .seek_ts = INT64_MIN};

	(void) state;
	mr_partition_granted(part);
	mr_partition_assign_sent(part);
	mr_partition_revoked(part);
	mr_partition_assigned(part, &row);
	mr_partition_watermarks(part, true, 0, 9);
	mr_partition_located(part, true, 3);
	mr_partition_doubt(part, 0);
	mr_partition_seen(part, 9, 99, 1, true);
	assert_int_equal(part->state, MR_PARTITION_REVOKED);
	assert_false(stub.fetch[1]);
}

static void
hold_and_release(void **state)
{
	(void) state;
	assign(40, -1);
	part->position = 55;
	mr_partition_hold(part);
	assert_int_equal(part->state, MR_PARTITION_HELD);
	assert_false(stub.fetch[1]);
	mr_partition_release(part);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(stub.fetch_from[1], 55);
}

static void
begins_held_on_a_blocked_lane(void **state)
{
	(void) state;
	stub.held = true;
	assign(40, -1);
	assert_int_equal(part->state, MR_PARTITION_HELD);
	assert_false(stub.fetch[1]);
}

static void
corrupt_is_fetched_again_then_stops(void **state)
{
	(void) state;
	assign(40, -1);
	for (int i = 0; i < 2; i++)
	{
		mr_partition_corrupt(part, "CRC");
		assert_int_equal(part->state, MR_PARTITION_WAITING);
		part->state = MR_PARTITION_ASSIGNING;
		mr_partition_assigned(part, &(MrAssigned){.epoch = 1,
												  .next_offset = 40,
												  .last_offset = -1,
												  .seek_ts = INT64_MIN});
	}
	mr_partition_corrupt(part, "CRC");
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	assert_non_null(strstr(stub.stopped, "offset 40: CRC"));
}

static void
unknown_partitions_are_not_assigned(void **state)
{
	(void) state;
	stub.known = 1;
	mr_partition_granted(part);
	assert_false(mr_partition_wants_assign(part, mr_now_ms()));
	stub.known = 2;
	assert_true(mr_partition_wants_assign(part, mr_now_ms()));
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
		T(suspect_waits_for_the_verdict),
		T(revoked_ignores_late_answers),
		T(hold_and_release),
		T(begins_held_on_a_blocked_lane),
		T(corrupt_is_fetched_again_then_stops),
		T(unknown_partitions_are_not_assigned),
	};

	return cmocka_run_group_tests_name("ingestor/assignment", tests, NULL, NULL);
}
