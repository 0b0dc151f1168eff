/* wait=processed: its parameters, and what it adds to the answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/resource/post_wait.h"

/* The time that a query waits; -1: it is refused. */
static int64_t
wait_of(const char *query)
{
	MrParams params;
	char detail[128] = "";
	int64_t ms;
	bool ok;

	assert_true(mr_params_parse(&params, query, detail, sizeof(detail)));
	ok = mr_post_wait_read(&params, &ms, detail, sizeof(detail));
	mr_params_free(&params);
	assert_int_equal(ok, detail[0] == '\0');
	return ok ? ms : -1;
}

static void
times(void **state)
{
	(void) state;
	assert_int_equal(wait_of(NULL), 0);
	assert_int_equal(wait_of("eventType=a"), 0);
	assert_int_equal(wait_of("wait=processed"), MR_WAIT_DEFAULT_MS);
	assert_int_equal(wait_of("wait=processed&timeout=5"), 5000);
	assert_int_equal(wait_of("timeout=5s&wait=processed"), 5000);
	assert_int_equal(wait_of("wait=processed&timeout=250ms"), 250);
	assert_int_equal(wait_of("wait=processed&timeout=60s"), MR_WAIT_MAX_MS);
	assert_int_equal(wait_of("wait=processed&timeout=61s"), -1);
	assert_int_equal(wait_of("wait=processed&timeout=60001ms"), -1);
	assert_int_equal(wait_of("wait=processed&timeout=0"), -1);
	assert_int_equal(wait_of("wait=processed&timeout=-1"), -1);
	assert_int_equal(wait_of("wait=processed&timeout="), -1);
	assert_int_equal(wait_of("wait=processed&timeout=5min"), -1);
	assert_int_equal(wait_of("wait=processed&timeout=99999999999999999999"), -1);
	assert_int_equal(wait_of("timeout=5s"), -1);
	assert_int_equal(wait_of("wait=written"), -1);
	assert_int_equal(wait_of("wait="), -1);
}

static void
states(void **state)
{
	MrBuffer body = {0};

	(void) state;
	mr_buffer_printf(&body, "{\"id\":\"a}\"}\n");
	mr_post_wait_add(&body, "[1]");
	assert_string_equal(mr_buffer_string(&body), "{\"id\":\"a}\",\"pipelines\":[1]}\n");
	mr_buffer_free(&body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times),
		cmocka_unit_test(states),
	};

	return cmocka_run_group_tests_name("post_wait", tests, NULL, NULL);
}
