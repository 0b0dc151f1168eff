/* Bytes to requests: whole, in pieces, and refused. The malformed ones are in tests/lib/malformed.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/wire/intake.h"
#include "api/wire/limits.h"

#define HOST "Host: a\r\n"

static MrIntake intake;

static int
setup(void **state)
{
	(void) state;
	mr_intake_init(&intake, 100);
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	mr_intake_free(&intake);
	return 0;
}

/* All of the text, `step` bytes at a time; returns how many were taken. */
static size_t
feed(const char *text, size_t len, size_t step)
{
	size_t at = 0;

	while (at < len)
	{
		size_t n = step < len - at ? step : len - at;
		char piece[512]; /* of its own size, so that AddressSanitizer sees a read beyond it */
		size_t used;

		assert_true(n <= sizeof(piece));
		memcpy(piece, text + at, n);
		used = mr_intake_take(&intake, piece, n);
		at += used;
		if (used < n)
			break;
	}
	return at;
}

static void
expect_request(const char *in, const char *out)
{
	for (size_t step = 1; step <= 300; step = step * 3 + 1)
	{
		assert_int_equal(feed(in, strlen(in), step), strlen(in));
		assert_int_equal(intake.state, MR_INTAKE_READY);
		assert_int_equal(intake.text.len, strlen(out));
		assert_memory_equal(intake.text.data, out, strlen(out));
		mr_intake_next(&intake);
		assert_null(intake.text.data); /* an idle connection keeps nothing */
		assert_null(intake.body.data);
	}
}

static void
expect_refusal(const char *in, MrProblem problem)
{
	for (size_t step = 1; step <= 300; step = step * 3 + 1)
	{
		feed(in, strlen(in), step);
		assert_int_equal(intake.state, MR_INTAKE_REFUSED);
		assert_int_equal(intake.refusal.problem, problem);
		assert_non_null(intake.refusal.why);
		assert_int_equal(mr_intake_take(&intake, "x", 1), 0);
		mr_intake_free(&intake);
		mr_intake_init(&intake, 100);
	}
}

static void
requests_without_a_body(void **state)
{
	(void) state;
	expect_request("GET /a?b=%41 HTTP/1.1\r\n" HOST "\r\n",
				   "GET /a?b=%41 HTTP/1.1\r\n" HOST "\r\n");
	expect_request("\r\nGET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n");
	expect_request("GET http://A/b HTTP/1.1\r\n" HOST "\r\n", "GET /b HTTP/1.1\r\n" HOST "\r\n");
	expect_request("GET / HTTP/1.1\r\n" HOST "X:\t 1 \r\nExpect: 100-continue\r\n\r\n",
				   "GET / HTTP/1.1\r\n" HOST "X:\t 1 \r\n\r\n");
}

static void
requests_with_a_body(void **state)
{
	(void) state;
	expect_request("POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc",
				   "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc");
	expect_request("POST / HTTP/1.1\r\n" HOST "transfer-encoding: chunked\r\nY: 2\r\n\r\n"
				   "2\r\nab\r\n0A\r\n0123456789\r\n000\r\n\r\n",
				   "POST / HTTP/1.1\r\n" HOST "Y: 2\r\nContent-Length: 12\r\n\r\nab0123456789");
}

static void
what_comes_behind_is_left(void **state)
{
	const char *text = "GET /1 HTTP/1.1\r\n" HOST "\r\nGET /2 HTTP/1.1\r\n" HOST "\r\n";

	(void) state;
	assert_int_equal(mr_intake_take(&intake, text, strlen(text)), strlen(text) / 2);
	assert_false(mr_intake_has_begun(&intake));
	mr_intake_next(&intake);
	assert_int_equal(mr_intake_take(&intake, text + strlen(text) / 2, 5), 5);
	assert_true(mr_intake_has_begun(&intake));
}

static void
what_the_connection_needs_to_know(void **state)
{
	const char *close = "GET / HTTP/1.1\r\n" HOST "Connection: x , CLOSE\r\n\r\n";
	const char *old = "GET / HTTP/1.0\r\n\r\n";
	const char *kept = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
	const char *waits =
		"POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n";

	(void) state;
	feed(close, strlen(close), 100);
	assert_true(intake.closes);
	mr_intake_next(&intake);
	feed(old, strlen(old), 100);
	assert_true(intake.closes);
	mr_intake_next(&intake);
	feed(kept, strlen(kept), 100);
	assert_false(intake.closes);
	mr_intake_next(&intake);
	feed(waits, strlen(waits), 200);
	assert_true(intake.wants_continue);
	assert_int_equal(intake.state, MR_INTAKE_BODY);
}

static void
refused(void **state)
{
	(void) state;
	expect_refusal("GET /\r\n", MR_PROBLEM_REQUEST_LINE);
	expect_refusal("\r\n\r\n", MR_PROBLEM_REQUEST_LINE);
	expect_refusal("GET / HTTP/1.1\n", MR_PROBLEM_FIELD);
	expect_refusal("GET / HTTP/1.1\r\n\r\n", MR_PROBLEM_HOST);
	expect_refusal("GET /%00 HTTP/1.1\r\n", MR_PROBLEM_TARGET);
	expect_refusal("GET / HTTP/1.1\r\n" HOST "Content-Length: 101\r\n\r\n", MR_PROBLEM_BODY_LARGE);
	expect_refusal("GET / HTTP/1.1\r\n" HOST
				   "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
				   MR_PROBLEM_BODY_LENGTH);
	expect_refusal("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n65\r\n",
				   MR_PROBLEM_BODY_LARGE);
	expect_refusal("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n",
				   MR_PROBLEM_CHUNK);
}

/* A body of chunks is bounded by what they add up to, not by each. */
static void
many_chunks(void **state)
{
	const char *head = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n";

	(void) state;
	feed(head, strlen(head), 50);
	for (int i = 0; i < 100; i++)
		assert_int_equal(feed("1\r\nx\r\n", 6, 6), 6);
	assert_int_equal(intake.state, MR_INTAKE_CHUNKS);
	feed("1\r\n", 3, 3);
	assert_int_equal(intake.state, MR_INTAKE_REFUSED);
}

static MrProblem
late(const char *in, int64_t took_ms)
{
	const MrWireLimits limits = {.head_ms = 1000, .body_grace_ms = 5000, .body_bytes_s = 10};

	mr_intake_free(&intake);
	mr_intake_init(&intake, 1000);
	feed(in, strlen(in), 100);
	if (mr_intake_is_in_time(&intake, &limits, took_ms))
		return MR_PROBLEM_NONE;
	assert_int_equal(intake.state, MR_INTAKE_REFUSED);
	return intake.refusal.problem;
}

/* A head has a time for all of it, a body a rate. */
static void
what_comes_too_slowly(void **state)
{
	static const char head[] = "POST / HTTP/1.1\r\n" HOST;
	static const char body[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 500\r\n\r\n";

	(void) state;
	assert_int_equal(late(head, 1000), MR_PROBLEM_NONE);
	assert_int_equal(late(head, 1001), MR_PROBLEM_SLOW);
	assert_int_equal(late(body, 4999), MR_PROBLEM_NONE);
	assert_int_equal(late(body, 5000), MR_PROBLEM_SLOW);
}

/* What came at once does not count later: each window needs its own bytes, and a body that has them may take long. */
static void
a_body_that_stops(void **state)
{
	static const char begun[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n";
	static const char window[] = "12345678901234567890123456789012345678901234567890";
	const MrWireLimits limits = {.head_ms = 1000, .body_bytes_s = 10, .body_grace_ms = 5000};
	int64_t ms = 0;

	(void) state;
	mr_intake_free(&intake);
	mr_intake_init(&intake, 100000);
	mr_intake_take(&intake, begun, sizeof(begun) - 1);
	for (int i = 0; i < 500; i++)
		mr_intake_take(&intake, window, sizeof(window) - 1);
	for (int i = 0; i < 100; i++)
	{
		for (; ms < (i + 1) * 5000; ms += 500)
			assert_true(mr_intake_is_in_time(&intake, &limits, ms));
		assert_true(mr_intake_is_in_time(&intake, &limits, ms));
		mr_intake_take(&intake, window, sizeof(window) - 1);
	}
	assert_true(mr_intake_is_in_time(&intake, &limits, ms + 5000));
	mr_intake_take(&intake, window, sizeof(window) - 2);
	assert_true(mr_intake_is_in_time(&intake, &limits, ms + 9999));
	assert_false(mr_intake_is_in_time(&intake, &limits, ms + 10000));
	assert_int_equal(intake.refusal.problem, MR_PROBLEM_SLOW);
	assert_false(mr_intake_is_in_time(&intake, &limits, ms + 10050));
	mr_intake_free(&intake);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(requests_without_a_body, setup, teardown),
		cmocka_unit_test_setup_teardown(requests_with_a_body, setup, teardown),
		cmocka_unit_test_setup_teardown(what_comes_behind_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_connection_needs_to_know, setup, teardown),
		cmocka_unit_test_setup_teardown(refused, setup, teardown),
		cmocka_unit_test_setup_teardown(many_chunks, setup, teardown),
		cmocka_unit_test_setup_teardown(what_comes_too_slowly, setup, teardown),
		cmocka_unit_test_setup_teardown(a_body_that_stops, setup, teardown),
	};

	return cmocka_run_group_tests_name("wire/intake", tests, NULL, NULL);
}
