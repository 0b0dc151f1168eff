/*
 * Events that requests of several threads wait for, over a pool that counts what it is asked. The loops turn in turn; an event
 * is named by its offset, and the test says which are final.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/eventloop.h"
#include "event_wait_world.h"

/* One question for all, and each hears of its own event; those that are not final are asked for again. */
static void
all_threads_share_a_question(void **state)
{
	Fixture *f = *state;
	Client clients[4 * THREADS] = {0};

	for (int i = 0; i < 4 * THREADS; i++)
		assert_true(await(f, i % THREADS, i, FOREVER, &clients[i]));
	turn_until_asked(f);
	assert_int_equal(query.count, 4 * THREADS);
	turn_for(f, 3 * MR_WAIT_POLL_MS); /* none is asked while it runs */
	assert_int_equal(queries, 1);
	answer(0, 6);
	turn(f);
	for (int i = 0; i < 4 * THREADS; i++)
		assert_int_equal(clients[i].ends, i <= 6);
	assert_string_equal(clients[5].pipelines, "[5]");
	turn_until_asked(f);
	assert_int_equal(query.count, 5);
	answer(7, 11);
	turn(f);
	for (int i = 0; i < 4 * THREADS; i++)
		assert_int_equal(clients[i].ends, 1);
	turn_for(f, 3 * MR_WAIT_POLL_MS); /* nobody waits */
	assert_int_equal(queries, 2);
}

/* They are asked for in turn, all of them in a round: none waits for another to end. */
static void
more_than_a_statement_takes(void **state)
{
	enum
	{
		COUNT = 2 * STATEMENT + 7
	};
	Fixture *f = *state;
	Client *clients = mr_calloc(COUNT, sizeof(*clients));

	for (int i = 0; i < COUNT; i++)
		assert_true(await(f, i % THREADS, i, FOREVER, &clients[i]));
	turn_until_asked(f);
	assert_int_equal(query.count, STATEMENT);
	answer(-1, -1);
	assert_int_equal(query.count, STATEMENT); /* at once */
	answer(STATEMENT, 2 * STATEMENT - 1);
	assert_int_equal(query.count, 7);
	answer(0, COUNT);
	assert_null(query.end); /* until the next round */
	turn(f);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(clients[i].ends, i >= STATEMENT);
	turn_until_asked(f);
	assert_int_equal(query.count, STATEMENT);
	answer(0, COUNT);
	turn(f);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(clients[i].ends, 1);
	free(clients);
}

/* While its question is under way, and when its answer is not taken yet. The others hear of theirs. */
static void
who_leaves_holds_up_nobody(void **state)
{
	Fixture *f = *state;
	Client clients[4] = {0};

	for (int i = 0; i < 4; i++)
		assert_true(await(f, i % 2, i, FOREVER, &clients[i]));
	turn_until_asked(f);
	mr_event_wait_abandon(clients[0].wait);
	answer(0, 3);
	mr_event_wait_abandon(clients[1].wait);
	turn(f);
	for (int i = 0; i < 4; i++)
		assert_int_equal(clients[i].ends, i >= 2);
	/* a thread ends while its question is under way */
	assert_true(await(f, 2, 4, FOREVER, &clients[0]));
	turn_until_asked(f);
	mr_event_wait_abandon(clients[0].wait);
	end_thread(f, 2);
	answer(0, 4);
	turn(f);
	assert_int_equal(clients[0].ends, 0);
}

/* Is an answer not taken yet, those that wait are asked for once a round all the same. */
static void
what_is_final_is_not_asked_for(void **state)
{
	Fixture *f = *state;
	Client clients[2] = {0};
	int64_t began = mr_now_ms();

	assert_true(await(f, 0, 0, FOREVER, &clients[0]));
	assert_true(await(f, 1, 1, FOREVER, &clients[1]));
	turn_until_asked(f);
	answer(0, 0);
	while (query.end == NULL) /* the threads are busy meanwhile */
	{
		assert_true(mr_now_ms() - began < HANG_MS);
		event_base_loop(f->main, EVLOOP_NONBLOCK);
	}
	assert_int_equal(query.count, 1);
	answer(-1, -1);
	assert_null(query.end);
	turn(f);
	assert_int_equal(clients[0].ends, 1);
	mr_event_wait_abandon(clients[1].wait);
}

/* The end of a batch that waits for several: what else it waits for is abandoned, be it final or late, too. */
static void
one_that_ends_takes_another_with_it(void **state)
{
	Fixture *f = *state;
	Client final[2] = {0};
	Client late[2] = {0};

	for (int i = 0; i < 2; i++)
	{
		final[i].leaves = &final[1 - i];
		late[i].leaves = &late[1 - i];
		assert_true(await(f, 0, i, FOREVER, &final[i]));
		assert_true(await(f, 0, 9, 1, &late[i]));
	}
	turn_until_asked(f);
	answer(0, 1);
	turn_for(f, 3 * MR_WAIT_POLL_MS);
	assert_int_equal(final[0].ends + final[1].ends, 1);
	assert_int_equal(late[0].ends + late[1].ends, 1);
	assert_true(late[0].is_late || late[1].is_late);
	if (query.end != NULL)
		answer(-1, -1);
}

/* The time of one is over while it is asked for: what is said of it then is for nobody. */
static void
time_that_is_over(void **state)
{
	Fixture *f = *state;
	Client clients[2] = {0};

	assert_true(await(f, 0, 0, 2 * MR_WAIT_POLL_MS, &clients[0]));
	assert_true(await(f, 1, 1, FOREVER, &clients[1]));
	turn_until_asked(f);
	for (int64_t began = mr_now_ms(); clients[0].ends == 0; turn(f))
		assert_true(mr_now_ms() - began < HANG_MS);
	assert_true(clients[0].is_late);
	answer(0, 1);
	turn(f);
	assert_int_equal(clients[0].ends, 1);
	assert_string_equal(clients[1].pipelines, "[1]");
}

/* They wait on: PostgreSQL may be there again before their time is over. */
static void
what_cannot_be_asked_is_asked_again(void **state)
{
	Fixture *f = *state;
	Client clients[2] = {0};

	is_refused = true;
	for (int i = 0; i < 2; i++)
		assert_true(await(f, i, i, FOREVER, &clients[i]));
	for (int64_t began = mr_now_ms(); queries < 3; turn(f))
		assert_true(mr_now_ms() - began < HANG_MS);
	is_refused = false;
	turn_until_asked(f);
	fail_query(MR_QUERY_LOST);
	assert_int_equal(clients[0].ends + clients[1].ends, 0);
	turn_until_asked(f);
	assert_int_equal(query.count, 2);
	answer(0, 1);
	turn(f);
	assert_int_equal(clients[0].ends + clients[1].ends, 2);
}

/* What is there to take counts as well: nothing grows, whoever is slow. */
static void
there_are_never_too_many(void **state)
{
	Fixture *f = *state;
	Client *clients = mr_calloc(MR_WAITS_MAX + 1, sizeof(*clients));

	for (int i = 0; i < MR_WAITS_MAX; i++)
		assert_true(await(f, i % THREADS, i, FOREVER, &clients[i]));
	assert_false(await(f, 0, MR_WAITS_MAX, FOREVER, &clients[MR_WAITS_MAX]));
	for (int64_t began = mr_now_ms(); query.end == NULL;
		 event_base_loop(f->main, EVLOOP_NONBLOCK)) /* no thread takes anything */
		assert_true(mr_now_ms() - began < HANG_MS);
	answer(0, MR_WAITS_MAX);
	assert_false(await(f, 1, MR_WAITS_MAX, FOREVER, &clients[MR_WAITS_MAX]));
	turn(f);
	assert_true(await(f, 1, MR_WAITS_MAX, FOREVER, &clients[MR_WAITS_MAX]));
	for (int i = 0; i <= MR_WAITS_MAX; i++)
		if (clients[i].wait != NULL)
			mr_event_wait_abandon(clients[i].wait);
	if (query.end != NULL)
		answer(-1, -1);
	free(clients);
}

/* An answer that is there when the service stops, and not taken yet, is given. */
static void
final_at_the_end(void **state)
{
	Fixture *f = *state;
	Client clients[2] = {0};

	for (int i = 0; i < 2; i++)
		assert_true(await(f, 0, i, FOREVER, &clients[i]));
	turn_until_asked(f);
	answer(0, 0);
	mr_event_waits_drain(f->threads[0]);
	assert_string_equal(clients[0].pipelines, "[0]");
	assert_true(clients[1].is_late);
	turn(f);
	assert_int_equal(clients[0].ends, 1);
}

/* The service stops: all hear that their time is over, also those that come still; other threads are none of theirs. */
static void
the_end(void **state)
{
	Fixture *f = *state;
	Client clients[3] = {0};

	assert_true(await(f, 0, 0, FOREVER, &clients[0]));
	assert_true(await(f, 1, 1, FOREVER, &clients[1]));
	turn_until_asked(f);
	mr_event_waits_drain(f->threads[0]);
	assert_true(clients[0].is_late);
	assert_true(await(f, 0, 2, FOREVER, &clients[2]));
	for (int64_t began = mr_now_ms(); clients[2].ends == 0; turn(f))
		assert_true(mr_now_ms() - began < HANG_MS);
	assert_true(clients[2].is_late);
	answer(0, 2);
	turn(f);
	assert_int_equal(clients[0].ends, 1);
	assert_string_equal(clients[1].pipelines, "[1]");
	/* and of all while a question is under way */
	assert_true(await(f, 1, 3, FOREVER, &clients[1]));
	turn_until_asked(f);
	mr_event_wait_abandon(clients[1].wait);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_threads_share_a_question, set_up, tear_down),
		cmocka_unit_test_setup_teardown(more_than_a_statement_takes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_leaves_holds_up_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_final_is_not_asked_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_ends_takes_another_with_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(time_that_is_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_asked_is_asked_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(there_are_never_too_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(final_at_the_end, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("resource/event_wait", tests, NULL, NULL);
}
