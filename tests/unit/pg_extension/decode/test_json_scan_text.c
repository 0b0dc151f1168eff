/*
 * test_json_scan_text.c - resolving escapes, and printing what was found
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "decode/json_scan.h"

static void
escapes_become_characters(void **state)
{
	const char *raw = "a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83d\\ude00\\u0000z";
	const char expected[] = "a\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\0z";
	char out[128];
	int n = mr_json_unescape(raw, (int) strlen(raw), out);

	(void) state;
	assert_int_equal(n, sizeof(expected) - 1);
	assert_memory_equal(out, expected, sizeof(expected) - 1);
}

static void
printing_is_short_and_safe(void **state)
{
	char out[MR_JSON_PRINT_SIZE(8)];

	(void) state;
	mr_json_print("abc", 3, 8, out);
	assert_string_equal(out, "abc");
	mr_json_print("12345678", 8, 8, out);
	assert_string_equal(out, "12345678");
	mr_json_print("123456789", 9, 8, out);
	assert_string_equal(out, "12345678...");
	mr_json_print("\0\x1b[\xff\xc3\xa9\xe2\x80\xae", 9, 8, out);
	assert_string_equal(out, "\\u0000\\u001b[\\xff\xc3\xa9\\u202e");
	mr_json_print("\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
				  "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80",
				  36, 8, out);
	assert_int_equal(strlen(out), 35);
	mr_json_print("", 0, 8, out);
	assert_string_equal(out, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escapes_become_characters),
		cmocka_unit_test(printing_is_short_and_safe),
	};

	return cmocka_run_group_tests_name("json_scan_text", tests, NULL, NULL);
}
