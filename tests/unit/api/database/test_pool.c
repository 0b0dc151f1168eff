/* Queries, their end, and connections that are lost, against a scripted libpq; one connection, so that the script is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../ingestor/fake_pq.h"
#include "api/database/pool.h"
#include "common/eventloop.h"
#include "common/log.h"

#define SET                                                                                        \
	{                                                                                              \
		"SET statement_timeout", FAKE_ROW, "x", "1"                                                \
	}
#define COUNT(steps_) ((int) (sizeof(steps_) / sizeof((steps_)[0])))

typedef struct Seen
{
	int ended;
	MrQueryFailure failure;
	char value[64];
	char sqlstate[6];
} Seen;

extern int64_t __real_mr_now_ms(void);
extern int64_t __wrap_mr_now_ms(void);

static int64_t stopped_ms; /* 0: the clock goes */

int64_t
__wrap_mr_now_ms(void)
{
	return stopped_ms > 0 ? stopped_ms : __real_mr_now_ms();
}

static struct event_base *base;
static MrCanceller *canceller;
static MrPool *pool;
static MrQueryFailure refused;

static void
turn(int ms)
{
	for (int i = 0; i < ms; i++)
	{
		mr_pool_tick(pool);
		event_base_loop(base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
}

static bool
turn_until(const Seen *seen, int ended)
{
	for (int i = 0; i < 2000 && seen->ended < ended; i++)
		turn(1);
	return seen->ended == ended;
}

static void
on_end(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	Seen *seen = owner;

	seen->ended++;
	seen->failure = failure;
	if (result != NULL)
		strncpy(seen->value, PQgetvalue(result, 0, 0), sizeof(seen->value) - 1);
	if (error != NULL)
		strncpy(seen->sqlstate, error->sqlstate, sizeof(seen->sqlstate) - 1);
}

static void
begin(const FakeStep *steps, int count)
{
	const MrPoolSetup setup = {
		.base = base, .dsn = "", .connections = 1, .query_ms = 300, .canceller = canceller};
	MrPoolState state = {.is_open = true};

	fake_pq_script(steps, count);
	pool = mr_pool_new(&setup);
	for (int i = 0; i < 2000 && state.is_open && !fake_pq.refuse; i++)
	{
		turn(1);
		mr_pool_state(pool, &state);
	}
}

static MrQuery *
ask(const char *name, const char *sql, Seen *seen)
{
	const char *values[] = {"a", "b"};

	return mr_pool_query(pool, name, sql, 2, values, on_end, seen, &refused);
}

static int
setup(void **state)
{
	(void) state;
	mr_log_setup("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
	base = event_base_new();
	canceller = mr_canceller_new();
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	stopped_ms = 0;
	mr_pool_free(pool);
	mr_canceller_free(canceller);
	event_base_free(base);
	return 0;
}

static void
queries_in_turn(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"SELECT 1", FAKE_ROW, "x", "one"},
									 {"SELECT 2", FAKE_ERROR, "22P02", ""},
									 {"SELECT 3", FAKE_ROW, "x", "three"}};
	Seen seen[3] = {0};

	(void) state;
	begin(steps, COUNT(steps));
	for (int i = 0; i < 3; i++)
		assert_non_null(ask(NULL, steps[i + 1].query, &seen[i]));
	assert_true(turn_until(&seen[2], 1));
	assert_string_equal(seen[0].value, "one");
	assert_int_equal(seen[1].failure, MR_QUERY_ERROR);
	assert_string_equal(seen[1].sqlstate, "22P02");
	assert_string_equal(seen[2].value, "three");
	assert_string_equal(fake_pq.parameters, "a|b");
}

static void
a_statement_is_prepared_once(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"PREPARE s", FAKE_ROW, "x", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "1"},
									 {"EXECUTE s", FAKE_ROW, "x", "2"}};
	Seen seen = {0};

	(void) state;
	begin(steps, COUNT(steps));
	ask("s", "SELECT $1", &seen);
	assert_true(turn_until(&seen, 1));
	ask("s", "SELECT $1", &seen);
	assert_true(turn_until(&seen, 2));
	assert_string_equal(seen.value, "2");
}

static void
a_statement_that_cannot_be_prepared(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"PREPARE s", FAKE_ERROR, "42703", ""},
									 {"SELECT 1", FAKE_ROW, "x", "1"}};
	Seen seen = {0};

	(void) state;
	begin(steps, COUNT(steps));
	ask("s", "SELECT nothing", &seen);
	assert_true(turn_until(&seen, 1));
	assert_int_equal(seen.failure, MR_QUERY_ERROR);
	ask(NULL, "SELECT 1", &seen);
	assert_true(turn_until(&seen, 2));
	assert_int_equal(seen.failure, MR_QUERY_OK);
}

/* What comes again goes without its text, until another comes, it fails, or a second has passed. */
static void
a_statement_that_comes_again(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"SELECT a", FAKE_ROW, "x", "1"},
									 {"EXECUTE ", FAKE_ROW, "x", "2"},
									 {"SELECT b", FAKE_ROW, "x", "3"},
									 {"SELECT a", FAKE_ROW, "x", "4"},
									 {"SELECT a", FAKE_ROW, "x", "5"},
									 {"EXECUTE ", FAKE_ERROR, "22P02", ""},
									 {"SELECT a", FAKE_ERROR, "22P02", ""},
									 {"SELECT a", FAKE_ROW, "x", "8"},
									 {"SELECT a", FAKE_ROW, "x", "9"}};
	static const char *const asked[] = {"SELECT a", "SELECT a", "SELECT b", NULL,      "SELECT a",
										"SELECT a", "SELECT a", "SELECT a", "SELECT a"};
	Seen seen = {0};

	(void) state;
	stopped_ms = __real_mr_now_ms();
	begin(steps, COUNT(steps));
	for (int i = 0; i < COUNT(asked); i++)
	{
		if (i == COUNT(asked) - 1)
			stopped_ms += 1000;
		/* NULL: of one that is not to be kept */
		ask(asked[i] != NULL ? "" : NULL, asked[i] != NULL ? asked[i] : "SELECT a", &seen);
		assert_true(turn_until(&seen, i + 1));
		assert_int_equal(seen.failure, i == 5 || i == 6 ? MR_QUERY_ERROR : MR_QUERY_OK);
	}
	assert_string_equal(seen.value, "9");
}

/* A column has another type now, or the server has lost it: it is run again, with its text, and nobody hears of it. */
static void
a_statement_that_is_stale(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"SELECT a", FAKE_ROW, "x", "1"},
									 {"EXECUTE ", FAKE_ERROR, "0A000", ""},
									 {"SELECT a", FAKE_ROW, "x", "2"},
									 {"SELECT a", FAKE_ROW, "x", "3"},
									 {"EXECUTE ", FAKE_ERROR, "26000", ""},
									 {"SELECT a", FAKE_ERROR, "0A000", ""},
									 {"PREPARE s", FAKE_ROW, "x", ""},
									 {"EXECUTE s", FAKE_ERROR, "0A000", ""},
									 {"SELECT a", FAKE_ROW, "x", "5"}};
	static const char *const names[] = {"", "", "", "", "s"};
	Seen seen = {0};

	(void) state;
	stopped_ms = __real_mr_now_ms();
	begin(steps, COUNT(steps));
	for (int i = 0; i < COUNT(names); i++)
	{
		ask(names[i], "SELECT a", &seen);
		assert_true(turn_until(&seen, i + 1));
		assert_int_equal(seen.failure, i == 3 ? MR_QUERY_ERROR : MR_QUERY_OK);
	}
	assert_string_equal(seen.value, "5");
	assert_int_equal(fake_pq.at, COUNT(steps));
}

/* On the same connection, which is soon free: of those that wait it is the first. An error of the query's own changes nothing. */
static void
what_is_stale_is_prepared_again(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"PREPARE s", FAKE_ROW, "x", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "0"},
									 {"EXECUTE s", FAKE_ERROR, "0A000", "RevalidateCachedQuery"},
									 SET,
									 {"SELECT a", FAKE_ROW, "x", "1"},
									 {"PREPARE s", FAKE_ROW, "x", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "2"},
									 {"EXECUTE s", FAKE_ERROR, "0A000", "exec_stmt_raise"},
									 {"SELECT a", FAKE_ERROR, "0A000", "exec_stmt_raise"},
									 {"EXECUTE s", FAKE_ROW, "x", "4"}};
	Seen first = {0};
	Seen behind = {0};

	(void) state;
	begin(steps, COUNT(steps));
	ask("s", "SELECT a", &first);
	assert_true(turn_until(&first, 1));
	ask("s", "SELECT a", &first);
	ask("s", "SELECT a", &behind);
	assert_true(turn_until(&behind, 1));
	assert_int_equal(first.ended, 2);
	assert_string_equal(first.value, "1");
	assert_string_equal(behind.value, "2");
	ask("s", "SELECT a", &first);
	assert_true(turn_until(&first, 3));
	assert_int_equal(first.failure, MR_QUERY_ERROR);
	ask("s", "SELECT a", &first);
	assert_true(turn_until(&first, 4));
	assert_string_equal(first.value, "4");
	assert_int_equal(fake_pq.at, COUNT(steps));
	assert_int_equal(fake_pq.connections, 1);
}

/* Meanwhile it is no connection that is lost: what is asked waits. */
static void
a_connection_that_prepares_again(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"PREPARE s", FAKE_ROW, "x", ""},
									 {"EXECUTE s", FAKE_ERROR, "0A000", "RevalidateCachedQuery"},
									 {"SET ", FAKE_SILENCE, "", ""}};
	Seen seen = {0};
	MrQuery *query;

	(void) state;
	begin(steps, COUNT(steps));
	query = ask("s", "SELECT a", &seen);
	for (int i = 0; i < 2000 && fake_pq.at < COUNT(steps); i++)
		turn(1);
	assert_int_equal(fake_pq.at, COUNT(steps));
	assert_int_equal(seen.ended, 0);
	assert_true(mr_pool_is_connected(pool));
	mr_query_abandon(query);
	mr_query_abandon(ask(NULL, "SELECT b", &seen));
}

/* The next one waits for the answer and for the cancel, which would hit it otherwise. */
static void
an_abandoned_query_is_cancelled(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"SELECT 1", FAKE_SILENCE, "x", "1"},
									 {"SELECT 2", FAKE_ROW, "x", "2"}};
	Seen seen[2] = {0};
	MrQuery *query;

	(void) state;
	begin(steps, COUNT(steps));
	query = ask(NULL, "SELECT 1", &seen[0]);
	turn(5);
	fake_pq.held = 1;
	mr_query_abandon(query);
	assert_non_null(ask(NULL, "SELECT 2", &seen[1]));
	for (int i = 0; i < 2000 && __atomic_load_n(&fake_pq.cancels, __ATOMIC_SEQ_CST) == 0; i++)
		turn(1);
	turn(20);
	assert_int_equal(fake_pq.at, 2); /* the second has not been sent */
	fake_pq_answer();
	turn(20);
	assert_int_equal(fake_pq.at, 2); /* nor while the cancel is on its way */
	__atomic_store_n(&fake_pq.held, 0, __ATOMIC_SEQ_CST);
	assert_true(turn_until(&seen[1], 1));
	assert_string_equal(seen[1].value, "2");
	assert_int_equal(seen[0].ended, 0);
	assert_int_equal(fake_pq.cancels, 1);
}

/* Whether the statement is there is not known: the connection is made again. */
static void
abandoned_while_it_is_prepared(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"PREPARE s", FAKE_SILENCE, "x", ""},
									 SET,
									 {"PREPARE s", FAKE_ROW, "x", ""},
									 {"EXECUTE s", FAKE_ROW, "x", "1"}};
	Seen seen = {0};
	MrQuery *query;

	(void) state;
	begin(steps, COUNT(steps));
	query = ask("s", "SELECT $1", &seen);
	turn(5);
	mr_query_abandon(query);
	turn(5);
	fake_pq_answer();
	for (int i = 0; i < 2000 && fake_pq.connections < 2; i++)
		turn(1);
	for (int i = 0; i < 2000 && ask("s", "SELECT $1", &seen) == NULL; i++)
		turn(1);
	assert_true(turn_until(&seen, 1));
	assert_string_equal(seen.value, "1");
}

static void
an_abandoned_query_that_waits_is_forgotten(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"SELECT 1", FAKE_SILENCE, "x", "1"},
									 {"SELECT 3", FAKE_ROW, "x", "3"}};
	Seen seen[3] = {0};
	MrQuery *queries[3];

	(void) state;
	begin(steps, COUNT(steps));
	queries[0] = ask(NULL, "SELECT 1", &seen[0]);
	queries[1] = ask(NULL, "SELECT 2", &seen[1]);
	queries[2] = ask(NULL, "SELECT 3", &seen[2]);
	assert_non_null(queries[0]);
	assert_non_null(queries[2]);
	mr_query_abandon(queries[1]);
	turn(5);
	fake_pq_answer();
	assert_true(turn_until(&seen[2], 1));
	assert_int_equal(seen[1].ended, 0);
	assert_int_equal(fake_pq.cancels, 0);
}

static void
a_lost_connection(void **state)
{
	static const FakeStep steps[] = {SET,
									 {"SELECT 1", FAKE_CUT, "", ""},
									 SET,
									 {"SELECT 3", FAKE_ROW, "x", "3"}};
	Seen seen[3] = {0};

	(void) state;
	begin(steps, COUNT(steps));
	ask(NULL, "SELECT 1", &seen[0]);
	ask(NULL, "SELECT 2", &seen[1]); /* waits, and is for nobody */
	assert_true(turn_until(&seen[0], 1));
	assert_int_equal(seen[0].failure, MR_QUERY_LOST);
	assert_int_equal(seen[1].failure, MR_QUERY_LOST);
	assert_null(ask(NULL, "SELECT x", &seen[2])); /* the breaker is open */
	assert_int_equal(refused, MR_QUERY_LOST);
	for (int i = 0; i < 2000 && ask(NULL, "SELECT 3", &seen[2]) == NULL; i++)
		turn(1);
	assert_true(turn_until(&seen[2], 1));
	assert_string_equal(seen[2].value, "3");
}

static void
a_server_that_is_silent(void **state)
{
	static const FakeStep steps[] = {SET, {"SELECT 1", FAKE_SILENCE, "x", "1"}, SET};
	Seen seen[2] = {0};

	(void) state;
	begin(steps, COUNT(steps));
	ask(NULL, "SELECT 1", &seen[0]);
	ask(NULL, "SELECT 2", &seen[1]);
	assert_true(turn_until(&seen[1], 1));
	assert_int_equal(seen[1].failure,
					 MR_QUERY_BUSY); /* it has waited for as long as a query may run */
	assert_true(turn_until(&seen[0], 1));
	assert_int_equal(seen[0].failure, MR_QUERY_TIMEOUT);
	assert_null(ask(NULL, "SELECT 3", &seen[0]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(queries_in_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(a_statement_is_prepared_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_statement_that_cannot_be_prepared, setup, teardown),
		cmocka_unit_test_setup_teardown(a_statement_that_comes_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_statement_that_is_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_stale_is_prepared_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_connection_that_prepares_again, setup, teardown),
		cmocka_unit_test_setup_teardown(an_abandoned_query_is_cancelled, setup, teardown),
		cmocka_unit_test_setup_teardown(abandoned_while_it_is_prepared, setup, teardown),
		cmocka_unit_test_setup_teardown(an_abandoned_query_that_waits_is_forgotten, setup,
										teardown),
		cmocka_unit_test_setup_teardown(a_lost_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(a_server_that_is_silent, setup, teardown),
	};

	return cmocka_run_group_tests_name("database/pool", tests, NULL, NULL);
}
