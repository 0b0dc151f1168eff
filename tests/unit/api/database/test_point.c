/* Look-ups of one row in pipeline mode: each has its own answer, once, whatever becomes of its neighbours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "point_world.h"

/* Prepared once, by the first; what comes in one turn of the event loop is sent together. */
static void
answers_in_order(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"PREPARE s", FAKE_ROW, "", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "0"},
									 {"EXECUTE s", FAKE_ROW, "x", "1"},
									 {"EXECUTE s", FAKE_ROW, "x", "2"}};
	PointSeen seen[3] = {0};

	(void) state;
	point_begin(steps, COUNT(steps));
	point_run_all(seen, 3);
	assert_int_equal(fake_pq.groups, 0);
	point_turn_until(&point_world.ended, 3);
	assert_int_equal(fake_pq.groups, 1);
	for (int i = 0; i < 3; i++)
	{
		assert_int_equal(seen[i].nth, i + 1);
		assert_int_equal(seen[i].failure, MR_QUERY_OK);
		assert_int_equal(*seen[i].value, '0' + i);
	}
	assert_int_equal(mr_point_room(point_world.point), MR_POINT_MAX);
}

/* What comes while a group is under way is the next one. */
static void
groups_one_behind_the_other(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"PREPARE s", FAKE_ROW, "", ""},
									 {"EXECUTE s", FAKE_SILENCE, "x", "0"},
									 {"EXECUTE s", FAKE_ROW, "x", "1"},
									 {"EXECUTE s", FAKE_ROW, "x", "2"}};
	PointSeen seen[3] = {0};

	(void) state;
	point_begin(steps, COUNT(steps));
	point_run(&seen[0], "s");
	point_turn_until(&fake_pq.groups, 1);
	point_run(&seen[1], "s");
	point_turn(5);
	point_run(&seen[2], "s");
	point_turn(5);
	assert_int_equal(fake_pq.at, 3);
	fake_pq_answer();
	point_turn_until(&point_world.ended, 3);
	assert_int_equal(fake_pq.groups, 2);
	for (int i = 0; i < 3; i++)
		assert_int_equal(*seen[i].value, '0' + i);
}

/* The answers are there before the group is over: what comes then is the next group, sent once. */
static void
a_sync_that_is_late(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"PREPARE s", FAKE_ROW, "", ""},
									 {"EXECUTE s", FAKE_ERROR, "22P02", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "1"},
									 {"EXECUTE s", FAKE_ROW, "x", "2"},
									 {"EXECUTE s", FAKE_ROW, "x", "3"}};
	PointSeen seen[4] = {0};

	(void) state;
	point_begin(steps, COUNT(steps));
	fake_pq.late_sync = true;
	point_run(&seen[0], "s");
	point_turn_until(&point_world.ended, 1);
	point_run(&seen[1], "s");
	point_run(&seen[2], "s");
	point_turn(5);
	assert_int_equal(fake_pq.groups, 1);
	fake_pq_answer();
	point_turn_until(&point_world.ended, 3);
	point_run(&seen[3], "s");
	point_turn(5);
	assert_int_equal(fake_pq.groups, 2);
	fake_pq_answer();
	point_turn_until(&point_world.ended, 4);
	fake_pq_answer();
	point_turn(5);
	assert_int_equal(fake_pq.groups, 3);
	assert_int_equal(seen[0].failure, MR_QUERY_ERROR);
	for (int i = 1; i < 4; i++)
		assert_int_equal(*seen[i].value, '0' + i);
}

/* Those behind one that fails are sent again: it is the only one that fails. */
static void
one_that_fails_in_the_middle(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"PREPARE s", FAKE_ROW, "", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "0"},
									 {"EXECUTE s", FAKE_ERROR, "22P02", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "aborted"},
									 {"PREPARE t", FAKE_ROW, "x", "aborted"},
									 {"EXECUTE t", FAKE_ROW, "x", "aborted"},
									 {"EXECUTE s", FAKE_ERROR, "57014", ""},
									 {"PREPARE t", FAKE_ROW, "x", "aborted"},
									 {"EXECUTE t", FAKE_ROW, "x", "aborted"},
									 {"PREPARE t", FAKE_ROW, "", ""},
									 {"EXECUTE t", FAKE_ROW, "x", "3"}};
	PointSeen seen[4] = {0};

	(void) state;
	point_begin(steps, COUNT(steps));
	for (int i = 0; i < 4; i++)
		point_run(&seen[i], i < 3 ? "s" : "t");
	point_turn_until(&point_world.ended, 4);
	assert_int_equal(fake_pq.groups, 3);
	assert_string_equal(seen[0].value, "0");
	assert_int_equal(seen[1].failure, MR_QUERY_ERROR);
	assert_string_equal(seen[1].sqlstate, "22P02");
	assert_int_equal(seen[2].failure, MR_QUERY_TIMEOUT);
	assert_string_equal(seen[3].value, "3");
	for (int i = 0; i < 4; i++)
		assert_int_equal(seen[i].nth, i + 1);
	point_turn(5);
	assert_int_equal(mr_point_room(point_world.point),
					 MR_POINT_MAX); /* the statements are as they were */
}

/* Nothing is cancelled (see teardown); its answer is read, and the next one's is the next one's. */
static void
a_client_that_leaves(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"PREPARE s", FAKE_ROW, "", ""},
									 {"EXECUTE s", FAKE_SILENCE, "x", "0"},
									 {"EXECUTE s", FAKE_ERROR, "22P02", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "aborted"},
									 {"EXECUTE s", FAKE_ROW, "x", "2"},
									 {"EXECUTE s", FAKE_ROW, "x", "4"}};
	PointSeen seen[5] = {0};

	(void) state;
	point_begin(steps, COUNT(steps));
	point_run_all(seen, 3);
	point_turn(5);
	point_run(&seen[3], "s"); /* leaves before it is sent */
	point_run(&seen[4], "s");
	mr_point_forget(point_world.point, &seen[0].query);
	mr_point_forget(point_world.point, &seen[1].query);
	mr_point_forget(point_world.point, &seen[3].query);
	assert_null(seen[0].query.point);
	assert_int_equal(mr_point_count(point_world.point),
					 5); /* they take their place until the end */
	fake_pq_answer();
	point_turn_until(&point_world.ended, 2);
	assert_string_equal(seen[2].value, "2");
	assert_string_equal(seen[4].value, "4");
	assert_int_equal(seen[0].ended + seen[1].ended + seen[3].ended, 0);
	point_turn(5);
	assert_int_equal(mr_point_count(point_world.point), 0);
}

/* The server answers those before it all the while: what stands behind ends in its own time, and its answer is for nobody. */
static void
time_that_is_over(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"PREPARE s", FAKE_ROW, "", ""},
									 {"EXECUTE s", FAKE_SILENCE, "x", "0"},
									 {"EXECUTE s", FAKE_ROW, "x", "1"},
									 {"EXECUTE s", FAKE_ROW, "x", "2"},
									 {"EXECUTE s", FAKE_ROW, "x", "3"}};
	PointSeen seen[4] = {0};

	(void) state;
	point_begin(steps, COUNT(steps));
	point_run_all(seen, 2);
	point_turn_until(&fake_pq.groups, 1);
	point_world.ahead_ms += LATE_MS;
	point_run(&seen[2], "s");
	point_turn(5);
	assert_int_equal(seen[0].failure, MR_QUERY_TIMEOUT);
	assert_int_equal(seen[1].failure, MR_QUERY_TIMEOUT);
	assert_int_equal(point_world.ended, 2); /* the third has time still */
	assert_int_equal(point_world.lost, 0);
	fake_pq_answer();
	point_turn_until(&point_world.ended, 3);
	assert_string_equal(seen[2].value, "2");
	assert_string_equal(seen[0].value, "");
	assert_string_equal(seen[1].value, "");
	point_run(&seen[3], "s");
	point_turn_until(&point_world.ended, 4);
	assert_string_equal(seen[3].value, "3");
	assert_int_equal(seen[0].ended + seen[1].ended, 2);
}

/* The socket takes nothing for a while: what is put by is sent when it does, in order. */
static void
a_socket_that_is_full(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"PREPARE s", FAKE_ROW, "", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "0"},
									 {"EXECUTE s", FAKE_ROW, "x", "1"}};
	PointSeen seen[2] = {0};

	(void) state;
	point_begin(steps, COUNT(steps));
	fake_pq.blocked = 8;
	point_run_all(seen, 2);
	assert_int_equal(fake_pq.blocked, 8); /* nothing is sent before the turn of the loop */
	point_turn_until(&point_world.ended, 2);
	assert_int_equal(fake_pq.blocked, 0);
	assert_string_equal(seen[0].value, "0");
	assert_string_equal(seen[1].value, "1");
}

/* MR_POINT_MAX and no more; none while the first takes its time; room again when it is answered, also for who ends then. */
static void
never_too_many(void **state)
{
	static FakeStep steps[2 + MR_POINT_MAX + 2] = {SET, {"PREPARE s", FAKE_ROW, "", ""}};
	static PointSeen seen[MR_POINT_MAX + 2];

	(void) state;
	memset(seen, 0, sizeof(seen));
	for (int i = 2; i < COUNT(steps); i++)
		steps[i] = (FakeStep){"EXECUTE s", i == 2 || i == 3 ? FAKE_SILENCE : FAKE_ROW, "x", "1"};
	point_begin(steps, COUNT(steps));
	point_run_all(seen, 2);
	point_turn_until(&fake_pq.groups, 1);
	assert_int_equal(mr_point_room(point_world.point), MR_POINT_MAX - 2);
	point_world.ahead_ms += STUCK_MS;
	assert_int_equal(mr_point_room(point_world.point), 0);
	fake_pq_answer();
	point_turn_until(&point_world.ended, 1);
	assert_int_equal(mr_point_room(point_world.point), MR_POINT_MAX - 1);
	for (int i = 2; i <= MR_POINT_MAX; i++)
		point_run(&seen[i], "s");
	assert_int_equal(mr_point_room(point_world.point), 0);
	seen[2].next = &seen[MR_POINT_MAX + 1];
	point_turn(5);
	assert_int_equal(point_world.ended, 1); /* the second holds them up */
	fake_pq_answer();
	point_turn_until(&point_world.ended, MR_POINT_MAX + 2);
	for (int i = 0; i < MR_POINT_MAX + 2; i++)
		assert_int_equal(seen[i].ended, 1);
	assert_int_equal(mr_point_room(point_world.point), MR_POINT_MAX);
}

/* Names come and go with the relation: a connection does not collect them for ever. */
static void
never_too_many_statements(void **state)
{
	static char names[MR_SESSION_STATEMENTS_MAX + 1][16];
	static char prepares[MR_SESSION_STATEMENTS_MAX + 1][24];
	static char executes[MR_SESSION_STATEMENTS_MAX + 1][24];
	static FakeStep steps[2 + 2 * (MR_SESSION_STATEMENTS_MAX + 1)] = {SET};
	PointSeen seen = {0};
	int at = 1;

	(void) state;
	for (int i = 0; i <= MR_SESSION_STATEMENTS_MAX; i++)
	{
		snprintf(names[i], sizeof(names[i]), "s%d", i);
		snprintf(prepares[i], sizeof(prepares[i]), "PREPARE s%d", i);
		snprintf(executes[i], sizeof(executes[i]), "EXECUTE s%d", i);
		if (i == MR_SESSION_STATEMENTS_MAX)
			steps[at++] = steps[0];
		steps[at++] = (FakeStep){prepares[i], FAKE_ROW, "", ""};
		steps[at++] = (FakeStep){executes[i], FAKE_ROW, "x", "1"};
	}
	point_begin(steps, COUNT(steps));
	for (int i = 0; i < MR_SESSION_STATEMENTS_MAX; i++)
	{
		point_run(&seen, names[i]);
		point_turn_until(&point_world.ended, i + 1);
	}
	assert_int_equal(mr_point_room(point_world.point), 0);
	point_turn_until(&point_world.ready, 2); /* at once: nothing has failed */
	point_run(&seen, names[MR_SESSION_STATEMENTS_MAX]);
	point_turn_until(&point_world.ended, MR_SESSION_STATEMENTS_MAX + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers_in_order, point_setup, point_teardown),
		cmocka_unit_test_setup_teardown(groups_one_behind_the_other, point_setup, point_teardown),
		cmocka_unit_test_setup_teardown(a_sync_that_is_late, point_setup, point_teardown),
		cmocka_unit_test_setup_teardown(one_that_fails_in_the_middle, point_setup, point_teardown),
		cmocka_unit_test_setup_teardown(a_client_that_leaves, point_setup, point_teardown),
		cmocka_unit_test_setup_teardown(time_that_is_over, point_setup, point_teardown),
		cmocka_unit_test_setup_teardown(a_socket_that_is_full, point_setup, point_teardown),
		cmocka_unit_test_setup_teardown(never_too_many, point_setup, point_teardown),
		cmocka_unit_test_setup_teardown(never_too_many_statements, point_setup, point_teardown),
	};

	return cmocka_run_group_tests_name("database/point", tests, NULL, NULL);
}
