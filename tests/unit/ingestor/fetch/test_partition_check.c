/* The state machine of a partition: is the topic the one we knew, and does it hold the position? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "partition_world.h"

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
	assert_non_null(strstr(asked.stop_hint,
						   "SELECT millrace.skip_to('stub', partition => 1, \"offset\" => 100);"));
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

#define T(test_) cmocka_unit_test_setup(test_, setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
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
		T(corrupt_is_fetched_again_then_stops),
		T(an_answer_to_an_older_question_is_late),
	};

	return cmocka_run_group_tests_name("ingestor/fetch/partition_check", tests, NULL, NULL);
}
