/* The control connection against a scripted server: what it says about its troubles, and how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/eventloop.h"
#include "common/log.h"
#include "fake_pq.h"
#include "ingestor/control/control.h"

#define CALL "SELECT 1"

static struct event_base *base;
static MrControl *control;
static FILE *log_file;
static int stderr_fd;
static int connected, answers;

static void
on_connected(void *owner)
{
	(void) owner;
	connected++;
}

static void
on_answer(void *owner, const PGresult *result, uint64_t tag)
{
	(void) owner;
	(void) result;
	(void) tag;
	answers++;
}

/* The log goes to a file. */
static int
setup(void **state)
{
	(void) state;
	mr_log_setup("test", MR_LOG_WARN, MR_LOG_LOGFMT);
	log_file = tmpfile();
	stderr_fd = dup(STDERR_FILENO);
	dup2(fileno(log_file), STDERR_FILENO);
	base = event_base_new();
	connected = answers = 0;
	fake_pq_script(NULL, 0);
	fake_pq.refuse = true;
	fake_pq.error = "no socket\n\tIs the server running?\n";
	control = mr_control_new(base, "", on_connected, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	mr_control_free(control);
	event_base_free(base);
	dup2(stderr_fd, STDERR_FILENO);
	close(stderr_fd);
	fclose(log_file);
	fake_pq.error = NULL;
	return 0;
}

static int
lines_with(const char *text)
{
	char line[2048];
	int count = 0;

	rewind(log_file);
	while (fgets(line, sizeof(line), log_file) != NULL)
		count += strstr(line, text) != NULL;
	return count;
}

#define TURN_UNTIL(condition_)                                                                     \
	do                                                                                             \
	{                                                                                              \
		int64_t give_up = mr_now_ms() + 15000;                                                     \
		while (!(condition_) && mr_now_ms() < give_up)                                             \
		{                                                                                          \
			event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);                                  \
			usleep(500);                                                                           \
		}                                                                                          \
		assert_true(condition_);                                                                   \
	} while (0)

static void
a_changed_reason_is_logged(void **state)
{
	(void) state;
	TURN_UNTIL(mr_control_losses(control) >= 3);
	assert_string_equal(mr_control_trouble(control), "no socket  Is the server running?");
	assert_int_equal(lines_with("no connection to PostgreSQL"), 1);
	fake_pq.error = "password authentication failed";
	TURN_UNTIL(lines_with("password authentication failed") > 0);
	assert_string_equal(mr_control_trouble(control), "password authentication failed");
	assert_int_equal(lines_with("no connection to PostgreSQL"), 2);
	assert_int_equal(lines_with("level=warn"), 2);
	fake_pq.refuse = false;
	TURN_UNTIL(connected == 1);
	assert_string_equal(mr_control_trouble(control), "");
}

static void
a_call_that_fails_again_is_logged_once(void **state)
{
	static const FakeStep steps[] = {{CALL, FAKE_ERROR, "42501", ""},
									 {CALL, FAKE_ERROR, "42501", ""},
									 {CALL, FAKE_ROW, "a", "1"},
									 {CALL, FAKE_ERROR, "42501", ""}};

	(void) state;
	fake_pq_script(steps, 4);
	TURN_UNTIL(connected == 1);
	for (int i = 0; i < 2; i++)
	{
		mr_control_call(control, CALL, 0, NULL, on_answer, NULL, 0);
		TURN_UNTIL(answers == i + 1);
		assert_string_equal(mr_control_trouble(control),
							"an error; hint: as a superuser, in database \"base\": "
							"SELECT millrace.grant_ingestor('tester');");
		assert_int_equal(lines_with("call failed"), 1);
	}
	mr_control_call(control, CALL, 0, NULL, on_answer, NULL, 0);
	TURN_UNTIL(answers == 3);
	assert_string_equal(mr_control_trouble(control), "");
	mr_control_call(control, CALL, 0, NULL, on_answer, NULL, 0);
	TURN_UNTIL(answers == 4);
	assert_int_equal(lines_with("call failed"), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_changed_reason_is_logged, setup, teardown),
		cmocka_unit_test_setup_teardown(a_call_that_fails_again_is_logged_once, setup, teardown),
	};

	return cmocka_run_group_tests_name("ingestor/control/control", tests, NULL, NULL);
}
