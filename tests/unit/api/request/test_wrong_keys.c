/* Wrong keys by address: who is refused, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

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
	return (int) mr_wrong_keys_look(keys, client, NULL, now);
}

static int
look(MrWrongKeys *keys, const char *client, const char *name, int64_t now)
{
	return (int) mr_wrong_keys_look(keys, client, name, now);
}

/* Six at once, then one in ten seconds; the right key waits as long, and takes none. */
static void
an_address_that_guesses(void **state)
{
	MrWrongKeys *keys = mr_wrong_keys_new(6);

	(void) state;
	for (int i = 0; i < 6; i++)
		assert_int_equal(guess(keys, "192.0.2.1", BEGIN), 0);
	for (int i = 0; i < 3; i++)
	{
		assert_int_equal(guess(keys, "192.0.2.1", BEGIN + SECOND), 9000);
		assert_int_equal(look(keys, "192.0.2.1", "a", BEGIN + SECOND), 9000);
	}
	assert_int_equal(guess(keys, "192.0.2.2", BEGIN), 0); /* another one */
	assert_int_equal(look(keys, "192.0.2.2", "a", BEGIN), 0);
	assert_int_equal(guess(keys, "192.0.2.1", BEGIN + EACH), 0);
	assert_int_equal(look(keys, "192.0.2.1", "a", BEGIN + EACH), 10000);
	assert_int_equal(look(keys, "192.0.2.1", "a", BEGIN + 2 * EACH), 0);
	mr_wrong_keys_free(keys);
}

/* For a day; another key that is right is none of it, nor the same key from elsewhere. */
static void
a_key_that_was_right(void **state)
{
	MrWrongKeys *keys = mr_wrong_keys_new(1);

	(void) state;
	assert_int_equal(look(keys, "192.0.2.1", "a", BEGIN), 0);
	assert_int_equal(look(keys, "192.0.2.2", "b", BEGIN), 0);
	for (int64_t now = BEGIN; now < BEGIN + DAY; now += DAY / 10)
	{
		assert_int_equal(guess(keys, "192.0.2.1", now), 0);
		assert_int_equal(guess(keys, "192.0.2.1", now), 60000);
		assert_int_equal(look(keys, "192.0.2.1", "a", now), 0);
		assert_int_equal(look(keys, "192.0.2.1", "b", now), 60000);
	}
	assert_int_equal(guess(keys, "192.0.2.1", BEGIN + DAY), 0);
	assert_int_equal(look(keys, "192.0.2.1", "a", BEGIN + DAY), 60000);
	mr_wrong_keys_free(keys);
}

static void
any_number(void **state)
{
	(void) state;
	assert_null(mr_wrong_keys_new(0));
	assert_int_equal(guess(NULL, "192.0.2.1", BEGIN), 0);
	assert_int_equal(look(NULL, "192.0.2.1", "a", BEGIN), 0);
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
		cmocka_unit_test(a_key_that_was_right),
		cmocka_unit_test(any_number),
		cmocka_unit_test(many_addresses),
	};

	mr_log_setup("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
	return cmocka_run_group_tests_name("request/wrong_keys", tests, NULL, NULL);
}
