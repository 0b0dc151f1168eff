/* Each problem is a document of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/control/json_text.h"
#include "api/control/problem.h"

static void
every_problem_has_a_code_of_its_own(void **state)
{
	(void) state;
	for (int p = MR_PROBLEM_NONE + 1; p < MR_PROBLEM_COUNT; p++)
	{
		assert_int_equal(strlen(mr_problem_code((MrProblem) p)), 6);
		assert_in_range(mr_problem_status((MrProblem) p), 400, 505);
		for (int other = MR_PROBLEM_NONE + 1; other < p; other++)
			assert_string_not_equal(mr_problem_code((MrProblem) p),
									mr_problem_code((MrProblem) other));
	}
}

/* The client learns what to send instead. */
static void
what_is_wrong_with_a_request_has_a_hint(void **state)
{
	(void) state;
	for (int p = MR_PROBLEM_NONE + 1; p < MR_PROBLEM_COUNT; p++)
	{
		const MrProblemReport report = {.problem = (MrProblem) p};
		MrBuffer out = {0};

		mr_problem_write(&out, &report);
		if (strncmp(mr_problem_code((MrProblem) p), "MR-1", 4) == 0 &&
			strstr(mr_buffer_string(&out), "\"hint\":\"") == NULL)
			fail_msg("%s", out.data);
		mr_buffer_free(&out);
	}
}

static void
a_document(void **state)
{
	const MrProblemReport report = {MR_PROBLEM_VALUE, "a \"b\"", "h", "22P02", "/x"};
	MrBuffer out = {0};

	(void) state;
	mr_problem_write(&out, &report);
	assert_string_equal(mr_buffer_string(&out), "{\"type\":\"tag:millrace,2026:MR-111\",\"title\":"
												"\"The value of a parameter is not valid\","
												"\"status\":400,\"code\":\"MR-111\",\"detail\":\"a "
												"\\\"b\\\"\",\"hint\":\"h\",\"sqlstate\":\"22P02\","
												"\"instance\":\"/x\"}\n");
	mr_buffer_free(&out);
}

static void
markup_is_escaped(void **state)
{
	const MrProblemReport report = {MR_PROBLEM_VALUE, "limit is \"</a>&\"", "h", NULL, "/<x>"};
	MrBuffer out = {0};

	(void) state;
	mr_buffer_append(&out, "<", 1); /* what is there before stays */
	mr_problem_write(&out, &report);
	assert_non_null(strstr(mr_buffer_string(&out), "limit is \\\"\\u003c/a\\u003e\\u0026\\\"\""));
	assert_non_null(strstr(mr_buffer_string(&out), "\"/\\u003cx\\u003e\"}\n"));
	assert_int_equal(out.data[0], '<');
	mr_buffer_free(&out);
}

static void
any_bytes_are_a_json_string(void **state)
{
	MrBuffer out = {0};

	(void) state;
	mr_json_string(&out, "\0\x1f\x7f\"\\\xc3\xa4\xff\xed\xa0\x80\xf0\x9f\xa6\x80\xc3", 16);
	assert_string_equal(
		mr_buffer_string(&out),
		"\"\\u0000\\u001f\\u007f\\\"\\\\\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
		"\xf0\x9f\xa6\x80\xef\xbf\xbd\"");
	mr_buffer_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_problem_has_a_code_of_its_own),
		cmocka_unit_test(what_is_wrong_with_a_request_has_a_hint),
		cmocka_unit_test(a_document),
		cmocka_unit_test(markup_is_escaped),
		cmocka_unit_test(any_bytes_are_a_json_string),
	};

	return cmocka_run_group_tests_name("control/problem", tests, NULL, NULL);
}
