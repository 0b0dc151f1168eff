/* What the client is answered for a SQLSTATE, and what it gets to see of the server's texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/resource/query_problem.h"
#include "common/log.h"

static MrProblemReport given; /* to the exchange */
static MrExchange exchange = {.path = "/events"};

void
mr_exchange_problem(MrExchange *of, const MrProblemReport *report)
{
	(void) of;
	given = *report;
}

static void
expect(MrQueryFailure failure, const char *sqlstate, int status, const char *code)
{
	MrPgError error = {.message = "column \"secret\" of relation \"inside\"", .hint = "ALTER it."};

	memcpy(error.sqlstate, sqlstate, sizeof(error.sqlstate));
	mr_query_problem(&exchange, failure, &error);
	assert_int_equal(mr_problem_status(given.problem), status);
	assert_string_equal(mr_problem_code(given.problem), code);
	assert_string_equal(given.sqlstate, sqlstate);
	/* the server's own text is for the client only where it is about what the client sent */
	assert_int_equal(given.detail != NULL, status == 400);
	if (status != 400)
		assert_null(given.hint);
}

static void
classes(void **state)
{
	(void) state;
	expect(MR_QUERY_ERROR, "22P02", 400, "MR-111");
	expect(MR_QUERY_ERROR, "22008", 400, "MR-111");
	expect(MR_QUERY_ERROR, "40001", 503, "MR-503");
	expect(MR_QUERY_ERROR, "40P01", 503, "MR-503");
	expect(MR_QUERY_ERROR, "53100", 503, "MR-503");
	expect(MR_QUERY_ERROR, "53200", 503, "MR-503");
	expect(MR_QUERY_ERROR, "53300", 503, "MR-503");
	expect(MR_QUERY_ERROR, "55P03", 503, "MR-503");
	expect(MR_QUERY_ERROR, "42P01", 503, "MR-504");
	expect(MR_QUERY_ERROR, "42501", 503, "MR-504");
	expect(MR_QUERY_ERROR, "0A000", 503, "MR-504");
	expect(MR_QUERY_ERROR, "26000", 503, "MR-504");
	expect(MR_QUERY_ERROR, "55000", 500, "MR-505");
	expect(MR_QUERY_ERROR, "XX000", 500, "MR-505");
	expect(MR_QUERY_ERROR, "P0001", 500, "MR-505");
	expect(MR_QUERY_TIMEOUT, "57014", 504, "MR-502");
	expect(MR_QUERY_LOST, "57P01", 503, "MR-501");
	expect(MR_QUERY_LOST, "08006", 503, "MR-501");
	mr_query_problem(&exchange, MR_QUERY_BUSY, NULL);
	assert_int_equal(mr_problem_status(given.problem), 503);
}

/* The client has no settings of the server's to change: a time that is wrong has a hint of ours. */
static void
times(void **state)
{
	static const char *const sqlstates[] = {"22007", "22008"};

	(void) state;
	for (int i = 0; i < 2; i++)
	{
		MrPgError error = {.message = "date/time field value out of range: \"2026-13-01\"",
						   .hint = "Perhaps you need a different \"datestyle\" setting."};

		memcpy(error.sqlstate, sqlstates[i], sizeof(error.sqlstate));
		mr_query_problem(&exchange, MR_QUERY_ERROR, &error);
		assert_string_equal(given.detail, error.message);
		assert_non_null(strstr(given.hint, "2026-01-31T12:00:00Z"));
	}
}

/* Of rows: only what is said of a parameter is about what the client sent. */
static void
rows(void **state)
{
	MrPgError error = {.sqlstate = "22P02",
					   .message = "invalid input syntax for type integer: \"hidden\""};

	(void) state;
	mr_rows_problem(&exchange, MR_QUERY_ERROR, &error);
	assert_int_equal(mr_problem_status(given.problem), 500);
	assert_null(given.detail);
	assert_null(given.hint);
	error.is_of_parameter = true;
	mr_rows_problem(&exchange, MR_QUERY_ERROR, &error);
	assert_int_equal(mr_problem_status(given.problem), 400);
	assert_string_equal(given.detail, error.message);
}

static bool
has(const MrSharedText *event, const char *text)
{
	return memmem(mr_shared_text_data(event), mr_shared_text_len(event), text, strlen(text)) !=
		   NULL;
}

/* A stream has begun with 200: the same document, as an event. */
static void
events(void **state)
{
	const MrPgError error = {.sqlstate = "XX000", .message = "inside"};
	MrSharedText *event = mr_query_problem_event(MR_QUERY_ERROR, &error, "/events/stream");

	(void) state;
	assert_memory_equal(mr_shared_text_data(event), "event: problem\ndata: {", 22);
	assert_true(has(event, "\"code\":\"MR-505\""));
	assert_true(has(event, "\"instance\":\"/events/stream\""));
	assert_false(has(event, "inside"));
	mr_shared_text_release(event);
	event = mr_rows_problem_event(MR_QUERY_LOST, NULL, "/events/stream");
	assert_true(has(event, "\"code\":\"MR-501\""));
	mr_shared_text_release(event);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes),
		cmocka_unit_test(times),
		cmocka_unit_test(rows),
		cmocka_unit_test(events),
	};

	mr_log_setup("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
	return cmocka_run_group_tests_name("resource/query_problem", tests, NULL, NULL);
}
