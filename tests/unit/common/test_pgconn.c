/* A connection against a scripted libpq: answers that libpq holds already, and answers that never come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../ingestor/fake_pq.h"
#include "common/log.h"
#include "common/pgconn.h"

typedef struct Seen
{
	bool ready;
	bool done;
	bool lost;
	int results;
	int rows;        /* of a COPY, sent */
	MrPgError error; /* of the result that failed, or of the loss */
} Seen;

static struct event_base *base;
static MrPgconn *conn;
static Seen seen;

static void
on_ready(void *owner)
{
	(void) owner;
	seen.ready = true;
}

static void
on_result(void *owner, PGresult *result)
{
	(void) owner;
	seen.results++;
	if (PQresultStatus(result) == PGRES_FATAL_ERROR)
		mr_pg_error_from_result(&seen.error, result);
}

static void
on_copy(void *owner)
{
	(void) owner;
	while (seen.rows < 3)
	{
		seen.rows++;
		if (!mr_pgconn_copy(conn, "row", 3))
			return;
	}
	mr_pgconn_copy_end(conn);
}

static void
on_done(void *owner)
{
	(void) owner;
	seen.done = true;
}

static void
on_lost(void *owner, const MrPgError *error)
{
	(void) owner;
	seen.lost = true;
	seen.error = *error;
}

static const MrPgconnEvents events = {
	.ready = on_ready,
	.result = on_result,
	.copy_in = on_copy,
	.drained = on_copy,
	.done = on_done,
	.lost = on_lost,
};

/* Turns the loop until the flag is set, for two seconds at most. */
static void
turn_until(const bool *flag)
{
	for (int i = 0; i < 2000 && !*flag; i++)
	{
		event_base_loop(base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
	assert_true(*flag);
}

static void
start(const FakeStep *step, bool slow)
{
	fake_pq_script(step, 1);
	fake_pq.slow = slow;
	mr_pgconn_connect(conn);
	turn_until(&seen.ready);
}

static int
setup(void **state)
{
	(void) state;
	mr_log_setup("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
	base = event_base_new();
	seen = (Seen){0};
	conn = mr_pgconn_new(base, "", "test", &events, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	mr_pgconn_free(conn);
	event_base_free(base);
	return 0;
}

static void
an_error_in_the_middle_of_a_copy_ends_it(void **state)
{
	static const FakeStep step = {"COPY", FAKE_STAGE_EARLY, "53100", ""};

	(void) state;
	start(&step, false);
	mr_pgconn_query(conn, "COPY t FROM STDIN");
	turn_until(&seen.done);
	assert_string_equal(seen.error.sqlstate, "53100");
	assert_true(mr_pgconn_is_idle(conn));
	assert_false(seen.lost);
}

static void
the_same_on_a_socket_that_is_full(void **state)
{
	static const FakeStep step = {"COPY", FAKE_STAGE_EARLY, "57014", ""};

	(void) state;
	start(&step, true);
	mr_pgconn_query(conn, "COPY t FROM STDIN");
	turn_until(&seen.done);
	assert_string_equal(seen.error.sqlstate, "57014");
	assert_true(mr_pgconn_is_idle(conn));
}

static void
an_answer_that_never_comes(void **state)
{
	static const FakeStep step = {"SELECT", FAKE_SILENCE, "", ""};

	(void) state;
	start(&step, false);
	mr_pgconn_set_answer_timeout(conn, 20);
	mr_pgconn_query(conn, "SELECT 1");
	turn_until(&seen.lost);
	assert_string_equal(seen.error.sqlstate, "08006");
	assert_non_null(strstr(seen.error.message, "has not answered"));
	assert_false(mr_pgconn_is_open(conn));
}

static void
an_idle_connection_has_no_deadline(void **state)
{
	static const FakeStep step = {"SELECT", FAKE_ROW, "x", "1"};

	(void) state;
	start(&step, false);
	mr_pgconn_set_answer_timeout(conn, 20);
	mr_pgconn_query(conn, "SELECT 1");
	turn_until(&seen.done);
	for (int i = 0; i < 60; i++)
	{
		event_base_loop(base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
	assert_false(seen.lost);
	assert_true(mr_pgconn_is_idle(conn));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_error_in_the_middle_of_a_copy_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(the_same_on_a_socket_that_is_full, setup, teardown),
		cmocka_unit_test_setup_teardown(an_answer_that_never_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(an_idle_connection_has_no_deadline, setup, teardown),
	};

	return cmocka_run_group_tests_name("common/pgconn", tests, NULL, NULL);
}
