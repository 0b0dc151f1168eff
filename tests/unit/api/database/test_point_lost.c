/* Look-ups of one row in pipeline mode: what becomes of them when a statement, the connection, or the server is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "point_world.h"

/* Those behind it are sent again: each that has the same statement fails by itself. */
static void
a_statement_that_cannot_be_prepared(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"PREPARE s", FAKE_ROW, "", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "0"},
									 {"PREPARE t", FAKE_ERROR, "42703", ""},
									 {"EXECUTE t", FAKE_ROW, "x", "aborted"},
									 {"EXECUTE t", FAKE_ROW, "x", "aborted"},
									 {"EXECUTE s", FAKE_ROW, "x", "aborted"},
									 {"PREPARE t", FAKE_ERROR, "42P01", ""},
									 {"EXECUTE t", FAKE_ROW, "x", "aborted"},
									 {"EXECUTE s", FAKE_ROW, "x", "aborted"},
									 {"EXECUTE s", FAKE_ROW, "x", "3"},
									 SET,
									 {"PREPARE t", FAKE_ROW, "", ""},
									 {"EXECUTE t", FAKE_ROW, "x", "4"}};
	PointSeen seen[5] = {0};

	(void) state;
	point_begin(steps, COUNT(steps));
	point_run(&seen[0], "s");
	point_run(&seen[1], "t");
	point_run(&seen[2], "t");
	point_run(&seen[3], "s");
	point_turn_until(&point_world.ended, 4);
	assert_string_equal(seen[0].value, "0");
	assert_string_equal(seen[1].sqlstate, "42703");
	assert_string_equal(seen[1].value, "");
	assert_string_equal(seen[2].sqlstate, "42P01");
	assert_string_equal(seen[3].value, "3");
	for (int i = 0; i < 4; i++)
		assert_int_equal(seen[i].ended, 1);
	assert_int_equal(mr_point_room(point_world.point), 0);
	point_come_back();
	point_run(&seen[4], "t");
	point_turn_until(&point_world.ended, 5);
	assert_string_equal(seen[4].value, "4");
}

/* The server has forgotten it (DISCARD ALL): no more are taken until it is prepared again, on another connection. */
static void
a_prepared_statement_that_is_lost(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"PREPARE s", FAKE_ROW, "", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "0"},
									 {"EXECUTE s", FAKE_ERROR, "26000", ""},
									 SET,
									 {"PREPARE s", FAKE_ROW, "", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "2"}};
	PointSeen seen[3] = {0};

	(void) state;
	point_begin(steps, COUNT(steps));
	point_run(&seen[0], "s");
	point_turn_until(&point_world.ended, 1);
	point_run(&seen[1], "s");
	point_turn_until(&point_world.ended, 2);
	assert_int_equal(seen[1].failure, MR_QUERY_ERROR);
	assert_int_equal(mr_point_room(point_world.point), 0);
	point_turn(20);
	assert_int_equal(fake_pq.connections, 1); /* not at once: it might fail for ever */
	point_come_back();
	point_run(&seen[2], "s");
	point_turn_until(&point_world.ended, 3);
	assert_string_equal(seen[2].value, "2");
}

/* A column has another type: what is prepared again fits. */
static void
a_prepared_statement_that_is_stale(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"PREPARE s", FAKE_ROW, "", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "0"},
									 {"EXECUTE s", FAKE_ERROR, "0A000", "exec_stmt_raise"},
									 {"EXECUTE s", FAKE_ERROR, "0A000", "RevalidateCachedQuery"},
									 SET,
									 {"PREPARE s", FAKE_ROW, "", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "3"}};
	PointSeen seen[4] = {0};

	(void) state;
	point_begin(steps, COUNT(steps));
	for (int i = 0; i < 3; i++)
	{
		assert_int_equal(mr_point_room(point_world.point), MR_POINT_MAX);
		point_run(&seen[i], "s");
		point_turn_until(&point_world.ended, i + 1);
		assert_int_equal(seen[i].failure, i > 0 ? MR_QUERY_ERROR : MR_QUERY_OK);
	}
	assert_int_equal(mr_point_room(point_world.point), 0);
	point_turn_until(&point_world.ready, 2);
	point_run(&seen[3], "s");
	point_turn_until(&point_world.ended, 4);
	assert_string_equal(seen[3].value, "3");
	assert_int_equal(fake_pq.connections, 2);
}

/* What is answered is answered; each of the others hears of it once, and nobody of one whose client has left. */
static void
a_connection_that_is_lost(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"PREPARE s", FAKE_ROW, "", ""},
									 {"EXECUTE s", FAKE_SILENCE, "x", "0"},
									 {"EXECUTE s", FAKE_CUT, "", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "2"},
									 {"EXECUTE s", FAKE_ROW, "x", "3"},
									 SET,
									 {"PREPARE s", FAKE_ROW, "", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "4"}};
	PointSeen seen[5] = {0};

	(void) state;
	point_begin(steps, COUNT(steps));
	point_run_all(seen, 4);
	seen[1].next = &seen[4]; /* there is no room for it then */
	point_turn_until(&fake_pq.groups, 1);
	mr_point_forget(point_world.point, &seen[2].query);
	fake_pq_answer();
	point_turn_until(&point_world.ended, 3);
	point_turn(5);
	assert_int_equal(point_world.lost, 1);
	assert_false(point_world.was_silent);
	assert_string_equal(seen[0].value, "0");
	assert_int_equal(seen[1].failure, MR_QUERY_LOST);
	assert_int_equal(seen[3].failure, MR_QUERY_LOST);
	for (int i = 0; i < 4; i++)
		assert_int_equal(seen[i].ended, i != 2);
	assert_int_equal(mr_point_count(point_world.point), 0);
	point_world.ahead_ms += MR_SESSION_RETRY_MAX_MS;
	point_turn_until(&point_world.ready, 2);
	point_run(&seen[4], "s"); /* prepared again: the connection is another */
	point_turn_until(&point_world.ended, 4);
	assert_string_equal(seen[4].value, "4");
}

/* It says nothing at all: it is given up, and those that wait have taken too long. */
static void
a_server_that_is_silent(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"PREPARE s", FAKE_ROW, "", ""},
									 {"EXECUTE s", FAKE_SILENCE, "x", "0"},
									 {"EXECUTE s", FAKE_ROW, "x", "1"},
									 SET};
	PointSeen seen[2] = {0};

	(void) state;
	point_begin(steps, COUNT(steps));
	point_run_all(seen, 2);
	point_turn_until(&point_world.lost, 1);
	assert_true(point_world.was_silent);
	for (int i = 0; i < 2; i++)
	{
		assert_int_equal(seen[i].ended, 1);
		assert_int_equal(seen[i].failure, MR_QUERY_TIMEOUT);
	}
	point_turn_until(&point_world.ready, 2);
}

/* Nothing of the group has been sent: each of it hears of it once. */
static void
what_cannot_be_sent(void **state)
{
	static const FakeStep steps[] = {SET,
									 SET,
									 {"PREPARE s", FAKE_ROW, "", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "2"}};
	PointSeen seen[3] = {0};

	(void) state;
	point_begin(steps, COUNT(steps));
	fake_pq.no_memory = true;
	point_run_all(seen, 2);
	point_turn_until(&point_world.ended, 2);
	assert_int_equal(point_world.lost, 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(seen[i].failure, MR_QUERY_LOST);
	point_world.ahead_ms += MR_SESSION_RETRY_MAX_MS;
	point_turn_until(&point_world.ready, 2);
	point_run(&seen[2], "s");
	point_turn_until(&point_world.ended, 3);
	assert_string_equal(seen[2].value, "2");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_statement_that_cannot_be_prepared, point_setup,
										point_teardown),
		cmocka_unit_test_setup_teardown(a_prepared_statement_that_is_lost, point_setup,
										point_teardown),
		cmocka_unit_test_setup_teardown(a_prepared_statement_that_is_stale, point_setup,
										point_teardown),
		cmocka_unit_test_setup_teardown(a_connection_that_is_lost, point_setup, point_teardown),
		cmocka_unit_test_setup_teardown(a_server_that_is_silent, point_setup, point_teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_sent, point_setup, point_teardown),
	};

	return cmocka_run_group_tests_name("database/point, lost", tests, NULL, NULL);
}
