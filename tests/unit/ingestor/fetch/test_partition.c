/* The state machine of a partition: assignment, epochs, holding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "partition_world.h"

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
a_forgotten_partition_waits_to_be_assigned(void **state)
{
	(void) state;
	assign(40, -1);
	EVENT(mr_partition_forgotten, &at);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
	assert_false(asked.fetch);
	EVENT(mr_partition_revoked);
	EVENT(mr_partition_forgotten, &at);
	assert_int_equal(part->state, MR_PARTITION_REVOKED);
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
		T(rewind_to_a_time_is_located),
		T(stopped_waits_for_a_verb),
		T(a_forgotten_partition_waits_to_be_assigned),
		T(our_stop_is_not_undone_by_an_older_answer),
		T(another_epoch_means_fenced),
		T(fenced_again_and_again_waits_longer),
		T(an_unconfirmed_epoch_waits_for_the_verdict),
		T(revoked_ignores_late_answers),
		T(hold_and_release),
		T(begins_held_on_a_blocked_lane),
		T(staged_of_another_epoch_does_not_count),
	};

	return cmocka_run_group_tests_name("ingestor/fetch/partition", tests, NULL, NULL);
}
