/* Wrong keys by address: who is refused, for how long, and what the log says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/request/wrong_keys.h"
#include "common/log.h"

#define SECOND 1000000LL
#define EACH   (10 * SECOND) /* of 6 a minute */
#define DAY    (24 * 3600 * SECOND)
#define BEGIN  DAY

static int
guess(MrWrongKeys *keys, const char *client, int64_t now)
{
	return (int) mr_wrong_keys_take(keys, client, now);
}

/* Six at once, then one in ten seconds. */
static void
an_address_that_guesses(void **state)
{
	MrWrongKeys *keys = mr_wrong_keys_new(6);

	(void) state;
	for (int i = 0; i < 6; i++)
		assert_int_equal(guess(keys, "192.0.2.1", BEGIN), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(guess(keys, "192.0.2.1", BEGIN + SECOND), 9000);
	assert_int_equal(guess(keys, "192.0.2.2", BEGIN), 0); /* another one */
	assert_int_equal(guess(keys, "192.0.2.1", BEGIN + EACH), 0);
	assert_int_equal(guess(keys, "192.0.2.1", BEGIN + EACH), 10000);
	mr_wrong_keys_free(keys);
}

/* One of each network of IPv6, and of each address of IPv4, however it is written, in a day. */
static void
what_is_logged(void **state)
{
	static const char *const clients[] = {"2001:db8::1", "192.0.2.1", "::ffff:192.0.2.1"};
	MrWrongKeys *keys = mr_wrong_keys_new(1);
	FILE *log = tmpfile();
	int old = dup(STDERR_FILENO);
	char client[32];
	char line[1000];
	int count = 0;

	(void) state;
	assert_non_null(log);
	mr_log_setup("test", MR_LOG_WARN, MR_LOG_LOGFMT);
	dup2(fileno(log), STDERR_FILENO);
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 2; j++)
			guess(keys, clients[i], BEGIN);
	for (int i = 0; i < 100; i++)
	{
		snprintf(client, sizeof(client), "2001:db8::1:%x", i);
		guess(keys, client, BEGIN);
	}
	for (int j = 0; j < 2; j++)
		guess(keys, "192.0.2.1", BEGIN + DAY);
	fflush(stderr);
	dup2(old, STDERR_FILENO);
	close(old);
	mr_log_setup("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
	rewind(log);
	while (fgets(line, sizeof(line), log) != NULL)
		count += strstr(line, "an address sends wrong keys") != NULL;
	fclose(log);
	assert_int_equal(count, 3);
	mr_wrong_keys_free(keys);
}

static void
any_number(void **state)
{
	(void) state;
	assert_null(mr_wrong_keys_new(0));
	assert_int_equal(guess(NULL, "192.0.2.1", BEGIN), 0);
	mr_wrong_keys_free(NULL);
}

/* Addresses without end: memory is what it was, and one of them is refused still. */
static void
many_addresses(void **state)
{
	MrWrongKeys *keys = mr_wrong_keys_new(1);
	char client[32];

	(void) state;
	for (int i = 0; i < 300000; i++)
	{
		snprintf(client, sizeof(client), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		assert_int_equal(guess(keys, client, BEGIN), 0);
	}
	assert_int_equal(guess(keys, client, BEGIN), 60000);
	mr_wrong_keys_free(keys);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_that_guesses),
		cmocka_unit_test(what_is_logged),
		cmocka_unit_test(any_number),
		cmocka_unit_test(many_addresses),
	};

	mr_log_setup("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
	return cmocka_run_group_tests_name("request/wrong_keys", tests, NULL, NULL);
}
