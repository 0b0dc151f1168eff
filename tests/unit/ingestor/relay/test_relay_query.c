/* A relay's queries against a scripted server: none waits longer than it should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/eventloop.h"
#include "fake_pq.h"
#include "ingestor/relay/relay_query.h"

#define SQL "SELECT millrace.relay_lock"

static atomic_bool stop;
static MrRelayWait wait_for = {&stop, 10000, 10000};
static char error[256];

static PGconn *
connect_with(const FakeStep *steps, int count)
{
	static const char *const none[] = {NULL};
	PGconn *pg;

	atomic_store(&stop, false);
	wait_for.answer_ms = 10000;
	error[0] = '\0';
	fake_pq_script(steps, count);
	pg = mr_relay_connect(&wait_for, none, none, error, sizeof(error));
	assert_non_null(pg);
	return pg;
}

static PGresult *
query(PGconn *pg)
{
	const char *const values[] = {"p"};

	return mr_relay_query(pg, &wait_for, SQL, 1, values, false, error, sizeof(error));
}

static void
rows_and_errors_come_back(void **state)
{
	static const FakeStep steps[] = {{SQL, FAKE_ROW, "a", "t"}, {SQL, FAKE_ERROR, "42501", ""}};
	PGconn *pg = connect_with(steps, 2);
	PGresult *result = query(pg);

	(void) state;
	assert_non_null(result);
	assert_string_equal(PQgetvalue(result, 0, 0), "t");
	assert_string_equal(fake_pq.parameters, "p");
	PQclear(result);
	assert_null(query(pg));
	assert_string_equal(error, "an error");
	PQfinish(pg);
}

static void
a_server_that_does_not_answer_is_given_up(void **state)
{
	static const FakeStep steps[] = {{SQL, FAKE_SILENCE, NULL, NULL}};
	PGconn *pg = connect_with(steps, 1);

	(void) state;
	wait_for.answer_ms = 50;
	assert_null(query(pg));
	assert_string_equal(error, "PostgreSQL has not answered for 50 ms");
	PQfinish(pg);
}

static void
a_stop_ends_the_wait(void **state)
{
	static const FakeStep steps[] = {{SQL, FAKE_SILENCE, NULL, NULL}};
	PGconn *pg = connect_with(steps, 1);

	(void) state;
	atomic_store(&stop, true);
	assert_null(query(pg));
	assert_string_equal(error, "stopped");
	PQfinish(pg);
}

static void
a_broken_connection_is_an_error(void **state)
{
	static const FakeStep steps[] = {{SQL, FAKE_CUT, NULL, NULL}};
	static const char *const none[] = {NULL};
	PGconn *pg = connect_with(steps, 1);

	(void) state;
	assert_null(query(pg));
	assert_string_equal(error, "the connection broke");
	PQfinish(pg);
	fake_pq.refuse = true;
	fake_pq.error = "no socket";
	assert_null(mr_relay_connect(&wait_for, none, none, error, sizeof(error)));
	assert_string_equal(error, "no socket");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_and_errors_come_back),
		cmocka_unit_test(a_server_that_does_not_answer_is_given_up),
		cmocka_unit_test(a_stop_ends_the_wait),
		cmocka_unit_test(a_broken_connection_is_an_error),
	};

	return cmocka_run_group_tests_name("ingestor/relay/relay_query", tests, NULL, NULL);
}
