/*
 * test_type_names.c: a name is found by all of its bytes, whatever its length, and no other one is taken for it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pipeline/type_names.h"

static void
nothing_is_known_at_first(void **state)
{
	static const MrTypeNames names;

	(void) state;
	assert_int_equal(mr_type_names_find(&names, "", 0), -1);
	assert_int_equal(mr_type_names_find(&names, "temp", 4), -1);
}

/* What is given has no byte beyond its length: the sanitizer sees whether one is read. */
static int
find(const MrTypeNames *names, const char *text, int length)
{
	char *copy = malloc((size_t) length);
	int number;

	memcpy(copy, text, (size_t) length);
	number = mr_type_names_find(names, copy, length);
	free(copy);
	return number;
}

/* Of each length, and with each byte another one: it is not found. */
static void
every_byte_counts(void **state)
{
	char text[MR_TYPE_NAME_BYTES + 1];

	(void) state;
	for (int i = 0; i < MR_TYPE_NAME_BYTES; i++)
		text[i] = (char) ('a' + i % 23);
	for (int length = 1; length <= MR_TYPE_NAME_BYTES; length++)
	{
		MrTypeNames names = {0};

		mr_type_names_add(&names, text, length, 7);
		assert_int_equal(find(&names, text, length), 7);
		assert_int_equal(find(&names, text, length - 1), -1);
		for (int i = 0; i < length; i++)
		{
			text[i] ^= (char) 0x80;
			assert_int_equal(find(&names, text, length), -1);
			text[i] ^= (char) 0x80;
		}
	}
}

static void
an_empty_name_is_one(void **state)
{
	MrTypeNames names = {0};

	(void) state;
	mr_type_names_add(&names, "", 0, 3);
	mr_type_names_add(&names, "\0", 1, 4);
	mr_type_names_add(&names, "\0\0", 2, 5);
	assert_int_equal(mr_type_names_find(&names, "", 0), 3);
	assert_int_equal(find(&names, "\0", 1), 4);
	assert_int_equal(find(&names, "\0\0", 2), 5);
}

/* As many as there may be, of lengths below and above two words, among others that are not known; some meet in a place. */
static void
all_are_found(void **state)
{
	(void) state;
	for (int longer = 0; longer < 20; longer++)
	{
		MrTypeNames names = {0};
		char text[MR_TYPE_NAME_BYTES];

		memset(text, 'x', sizeof(text));
		for (int n = 0; n < MR_TYPE_NAMES_MAX; n++)
		{
			text[longer / 2] = (char) ('0' + n);
			assert_int_equal(find(&names, text, longer + 1), -1);
			mr_type_names_add(&names, text, longer + 1, 100 + n);
		}
		for (int n = 0; n < 2 * MR_TYPE_NAMES_MAX; n++)
		{
			text[longer / 2] = (char) ('0' + n);
			assert_int_equal(find(&names, text, longer + 1), n < MR_TYPE_NAMES_MAX ? 100 + n : -1);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_known_at_first),
		cmocka_unit_test(every_byte_counts),
		cmocka_unit_test(an_empty_name_is_one),
		cmocka_unit_test(all_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
