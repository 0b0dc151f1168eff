/*
 * test_json_scan.c - which documents the scanner takes, and what it says of those it refuses
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "decode/json_scan.h"

/* Scans an exact-size copy, so that a read past the end is a read past an allocation. */
static MrJsonErrorCode
validate_bytes(const char *json, size_t length, int *offset)
{
	char *copy = malloc(length > 0 ? length : 1);
	MrJsonError error, whole_error;
	MrJsonSlot whole;
	bool good;

	memcpy(copy, json, length);
	good = mr_json_scan(NULL, copy, (int) length, NULL, &error);
	assert_int_equal(good, mr_json_scan_whole(copy, (int) length, &whole, &whole_error));
	assert_int_equal(good, error.code == MR_JSON_FINE);
	if (!good)
		assert_int_equal(error.offset, whole_error.offset);
	*offset = good ? -1 : error.offset;
	free(copy);
	return error.code;
}

typedef struct Case
{
	const char *json;
	size_t length; /* 0: strlen */
	MrJsonErrorCode code;
	int offset;
} Case;

static void
check_cases(const Case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
	{
		size_t length = cases[i].length > 0 ? cases[i].length : strlen(cases[i].json);
		int offset;
		MrJsonErrorCode code = validate_bytes(cases[i].json, length, &offset);

		if (code != cases[i].code || (code != MR_JSON_FINE && offset != cases[i].offset))
			fail_msg("%s: got %d at %d, expected %d at %d", cases[i].json, code, offset,
					 cases[i].code, cases[i].offset);
	}
}

static void
takes_what_is_json(void **state)
{
	static const char *const good[] = {"{}",
									   "[]",
									   "0",
									   "-0",
									   "null",
									   "true",
									   "false",
									   "\"\"",
									   " \t\r\n{ } \n",
									   "[ ]",
									   "[[]]",
									   "[{}]",
									   "{\"a\":[]}",
									   "{\"\":0}",
									   "[1,2 , 3]",
									   "1.5",
									   "-1.5e10",
									   "1E+5",
									   "1e-5",
									   "0.0",
									   "0e0",
									   "1e400000",
									   "123456789012345678901234567890",
									   "\"\\u0000\"",
									   "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
									   "\"\\u00e9\\uABCD\"",
									   "\"\\ud83d\\ude00\"",
									   "\"\\uDBFF\\uDFFF\"",
									   "\"\xc3\xa9\"",
									   "\"\xe2\x82\xac\"",
									   "\"\xf0\x9f\x98\x80\"",
									   "\"\xef\xbf\xbf\"",
									   "\"\xf4\x8f\xbf\xbf\"",
									   "\"\xee\x80\x80\"",
									   "\"\x7f\"",
									   "\"12345678\"",
									   "\"1234567\xc3\xa9"
									   "12345678\"",
									   "{\"a\":1,\"a\":2}",
									   "[[[[[[[[[[1]]]]]]]]]]",
									   "{\"a\":{\"b\":{\"c\":[{\"d\":null}]}}}",
									   "[true,false,null,\"x\",1,{},[]]"};
	int offset;

	(void) state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (validate_bytes(good[i], strlen(good[i]), &offset) != MR_JSON_FINE)
			fail_msg("refused: %s at %d", good[i], offset);
}

static void
refuses_bad_syntax(void **state)
{
	static const Case cases[] = {
		{" ", 0, MR_JSON_BAD_EMPTY, 1},
		{"{", 0, MR_JSON_BAD_END, 1},
		{"[", 0, MR_JSON_BAD_END, 1},
		{"[1", 0, MR_JSON_BAD_END, 2},
		{"[1,", 0, MR_JSON_BAD_END, 3},
		{"{\"a\"", 0, MR_JSON_BAD_END, 4},
		{"{\"a\":", 0, MR_JSON_BAD_END, 5},
		{"{\"a\":1", 0, MR_JSON_BAD_END, 6},
		{"{\"a\":1,", 0, MR_JSON_BAD_END, 7},
		{"\"abc", 0, MR_JSON_BAD_END, 4},
		{"\"abc\\", 0, MR_JSON_BAD_END, 5},
		{"\"abcdefghijklmnop", 0, MR_JSON_BAD_END, 17},
		{"tru", 0, MR_JSON_BAD_END, 3},
		{"-", 0, MR_JSON_BAD_END, 1},
		{"1.", 0, MR_JSON_BAD_END, 2},
		{"1e", 0, MR_JSON_BAD_END, 2},
		{"1e+", 0, MR_JSON_BAD_END, 3},
		{"trux", 0, MR_JSON_BAD_TOKEN, 0},
		{"True", 0, MR_JSON_BAD_TOKEN, 0},
		{"nullx", 0, MR_JSON_BAD_TRAILING, 4},
		{"NaN", 0, MR_JSON_BAD_TOKEN, 0},
		{"Infinity", 0, MR_JSON_BAD_TOKEN, 0},
		{"-Infinity", 0, MR_JSON_BAD_NUMBER, 1},
		{"+1", 0, MR_JSON_BAD_TOKEN, 0},
		{".5", 0, MR_JSON_BAD_TOKEN, 0},
		{"01", 0, MR_JSON_BAD_NUMBER, 0},
		{"-01", 0, MR_JSON_BAD_NUMBER, 1},
		{"1.x", 0, MR_JSON_BAD_NUMBER, 2},
		{"1ex", 0, MR_JSON_BAD_NUMBER, 2},
		{"0x10", 0, MR_JSON_BAD_TRAILING, 1},
		{"1 2", 0, MR_JSON_BAD_TRAILING, 2},
		{"{} {}", 0, MR_JSON_BAD_TRAILING, 3},
		{"{}x", 0, MR_JSON_BAD_TRAILING, 2},
		{"{}\0", 3, MR_JSON_BAD_TRAILING, 2},
		{"\0", 1, MR_JSON_BAD_TOKEN, 0},
		{"{a:1}", 0, MR_JSON_BAD_KEY, 1},
		{"{'a':1}", 0, MR_JSON_BAD_KEY, 1},
		{"{1:1}", 0, MR_JSON_BAD_KEY, 1},
		{"{,}", 0, MR_JSON_BAD_KEY, 1},
		{"{\"a\":1,}", 0, MR_JSON_BAD_KEY, 7},
		{"{\"a\" 1}", 0, MR_JSON_BAD_COLON, 5},
		{"{\"a\",1}", 0, MR_JSON_BAD_COLON, 4},
		{"{\"a\":}", 0, MR_JSON_BAD_TOKEN, 5},
		{"{\"a\":1 \"b\":2}", 0, MR_JSON_BAD_OBJECT, 7},
		{"{\"a\":1]", 0, MR_JSON_BAD_OBJECT, 6},
		{"[1}", 0, MR_JSON_BAD_ARRAY, 2},
		{"[1 2]", 0, MR_JSON_BAD_ARRAY, 3},
		{"[1,]", 0, MR_JSON_BAD_TOKEN, 3},
		{"[,1]", 0, MR_JSON_BAD_TOKEN, 1},
		{"]", 0, MR_JSON_BAD_TOKEN, 0},
		{"// c\n1", 0, MR_JSON_BAD_TOKEN, 0},
		{"\xef\xbb\xbf{}", 0, MR_JSON_BAD_BOM, 0},
		{"\xff\xfe{", 0, MR_JSON_BAD_TOKEN, 0},
		{"\v1", 0, MR_JSON_BAD_TOKEN, 0},
	};

	(void) state;
	check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void
refuses_bad_strings(void **state)
{
	static const Case cases[] = {
		{"\"a\nb\"", 0, MR_JSON_BAD_CONTROL, 2},
		{"\"a\tb\"", 0, MR_JSON_BAD_CONTROL, 2},
		{"\"a\0b\"", 5, MR_JSON_BAD_CONTROL, 2},
		{"\"12345678\x1f\"", 0, MR_JSON_BAD_CONTROL, 9},
		{"\"\\x41\"", 0, MR_JSON_BAD_ESCAPE, 1},
		{"\"\\U0041\"", 0, MR_JSON_BAD_ESCAPE, 1},
		{"\"\\u00g1\"", 0, MR_JSON_BAD_ESCAPE, 1},
		{"\"\\u004", 0, MR_JSON_BAD_END, 6},
		{"\"\\u\"  ", 0, MR_JSON_BAD_ESCAPE, 1},
		{"\"\\ud800\"", 0, MR_JSON_BAD_SURROGATE, 1},
		{"\"\\ud800\" ", 0, MR_JSON_BAD_SURROGATE, 1},
		{"\"\\ud800abcdef\"", 0, MR_JSON_BAD_SURROGATE, 1},
		{"\"\\ud800\\n12345\"", 0, MR_JSON_BAD_SURROGATE, 1},
		{"\"\\ud800\\u0041\"", 0, MR_JSON_BAD_SURROGATE, 1},
		{"\"\\ud800\\ud800\"", 0, MR_JSON_BAD_SURROGATE, 1},
		{"\"\\ud800\\uzzzz\"", 0, MR_JSON_BAD_ESCAPE, 7},
		{"\"\\udc00\"", 0, MR_JSON_BAD_SURROGATE, 1},
		{"\"\\udc00\\ud800\"", 0, MR_JSON_BAD_SURROGATE, 1},
		{"\"\\ud800", 0, MR_JSON_BAD_END, 7},
		{"\"\\ud800\\udc0", 0, MR_JSON_BAD_END, 12},
		{"\"\x80\"", 0, MR_JSON_BAD_UTF8, 1},
		{"\"\xc3\"", 0, MR_JSON_BAD_UTF8, 1},
		{"\"\xc3(\"", 0, MR_JSON_BAD_UTF8, 1},
		{"\"\xc0\xaf\"", 0, MR_JSON_BAD_UTF8, 1},
		{"\"\xc1\xbf\"", 0, MR_JSON_BAD_UTF8, 1},
		{"\"\xe0\x80\xaf\"", 0, MR_JSON_BAD_UTF8, 1},
		{"\"\xe2\x82\"", 0, MR_JSON_BAD_UTF8, 1},
		{"\"\xed\xa0\x80\"", 0, MR_JSON_BAD_UTF8, 1},
		{"\"\xed\xbf\xbf\"", 0, MR_JSON_BAD_UTF8, 1},
		{"\"\xf0\x80\x80\x80\"", 0, MR_JSON_BAD_UTF8, 1},
		{"\"\xf0\x9f\x98\"", 0, MR_JSON_BAD_UTF8, 1},
		{"\"\xf4\x90\x80\x80\"", 0, MR_JSON_BAD_UTF8, 1},
		{"\"\xf5\x80\x80\x80\"", 0, MR_JSON_BAD_UTF8, 1},
		{"\"\xff\"", 0, MR_JSON_BAD_UTF8, 1},
		{"\"12345678\xfe\"", 0, MR_JSON_BAD_UTF8, 9},
		{"\"abc\xc3", 0, MR_JSON_BAD_UTF8, 4},
	};

	(void) state;
	check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

/* Every prefix of a document but the document is a clean failure, at its end. */
static void
cut_off_documents_fail_at_their_end(void **state)
{
	const char *json =
		"{\"id\":\"5e41\\u00e9\\ud83d\\ude00\",\"v\":[-1.5e-3,true,null,{\"x\":{}}],\"n\":12}";
	int length = (int) strlen(json);

	(void) state;
	for (int cut = 1; cut < length; cut++)
	{
		int offset;
		MrJsonErrorCode code = validate_bytes(json, (size_t) cut, &offset);

		if (code != MR_JSON_BAD_END || offset != cut)
			fail_msg("cut at %d: %d at %d", cut, code, offset);
	}
}

static void
depth_is_limited_not_the_stack(void **state)
{
	int deep = 100000;
	char *json = malloc((size_t) deep * 2);
	int offset;

	(void) state;
	memset(json, '[', (size_t) deep);
	memset(json + deep, ']', (size_t) deep);
	assert_int_equal(validate_bytes(json, (size_t) deep * 2, &offset), MR_JSON_BAD_DEPTH);
	assert_int_equal(offset, MR_JSON_MAX_DEPTH);
	assert_int_equal(validate_bytes(json + deep - MR_JSON_MAX_DEPTH, MR_JSON_MAX_DEPTH * 2,
									&offset),
					 MR_JSON_FINE);
	assert_int_equal(validate_bytes(json + deep - MR_JSON_MAX_DEPTH - 1, MR_JSON_MAX_DEPTH * 2 + 2,
									&offset),
					 MR_JSON_BAD_DEPTH);
	for (int i = 0; i + 5 <= deep * 2; i += 5)
		memcpy(json + i, "{\"a\":", 5);
	assert_int_equal(validate_bytes(json, (size_t) deep * 2, &offset), MR_JSON_BAD_DEPTH);
	free(json);
}

static MrJsonSlot
number(const char *json)
{
	MrJsonSlot slot;
	MrJsonError error;

	assert_true(mr_json_scan_whole(json, (int) strlen(json), &slot, &error));
	assert_int_equal(slot.kind, MR_JSON_NUMBER);
	return slot;
}

static void
numbers_come_as_digits_and_exponent(void **state)
{
	MrJsonSlot n;

	(void) state;
	n = number("-964.1100");
	assert_int_equal(n.mantissa, 9641100);
	assert_int_equal(n.exponent, -4);
	assert_int_equal(n.flags, MR_JSON_NEGATIVE);
	n = number("12.5e3");
	assert_int_equal(n.mantissa, 125);
	assert_int_equal(n.exponent, 2);
	n = number("9999999999999999999");
	assert_true(n.mantissa == UINT64_C(9999999999999999999));
	assert_int_equal(n.flags, 0);
	assert_int_equal(number("99999999999999999999").flags, MR_JSON_INEXACT);
	assert_int_equal(number("1e1001").flags, MR_JSON_LONG_NUMBER);
	assert_int_equal(number("1e-400000").flags, MR_JSON_LONG_NUMBER);
	assert_int_equal(number("1e1000").flags, 0);
	n = number("1e99999999999999999999999999");
	assert_int_equal(n.flags, MR_JSON_LONG_NUMBER);
	assert_true(n.exponent > 1000000);
}

static void
elements_come_one_by_one(void **state)
{
	const char *json = " [ 1 ,\"a,]\", [2,[3]] ,{\"x\":[]},null ] ";
	static const char *const expected[] = {"1", "a,]", "[2,[3]]", "{\"x\":[]}", "null"};
	MrJsonElements elements;
	MrJsonSlot slot;
	MrJsonError error;

	(void) state;
	assert_true(mr_json_scan_whole(json, (int) strlen(json), &slot, &error));
	mr_json_elements(&slot, &elements);
	for (int i = 0; i < 5; i++)
	{
		assert_true(mr_json_next(&elements, &slot));
		assert_int_equal(slot.length, strlen(expected[i]));
		assert_memory_equal(slot.start, expected[i], strlen(expected[i]));
	}
	assert_false(mr_json_next(&elements, &slot));
	assert_true(mr_json_scan_whole("[ ]", 3, &slot, &error));
	mr_json_elements(&slot, &elements);
	assert_false(mr_json_next(&elements, &slot));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_is_json),
		cmocka_unit_test(refuses_bad_syntax),
		cmocka_unit_test(refuses_bad_strings),
		cmocka_unit_test(cut_off_documents_fail_at_their_end),
		cmocka_unit_test(depth_is_limited_not_the_stack),
		cmocka_unit_test(numbers_come_as_digits_and_exponent),
		cmocka_unit_test(elements_come_one_by_one),
	};

	return cmocka_run_group_tests_name("json_scan", tests, NULL, NULL);
}
