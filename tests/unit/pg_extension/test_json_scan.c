/*
 * test_json_scan.c - what the scanner takes, refuses and hands out
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "json_scan.h"

static void *blocks[1024];
static int block_count;

static void *
allocate(size_t size)
{
	void *block = calloc(1, size);

	assert_non_null(block);
	assert_true(block_count < 1024);
	return blocks[block_count++] = block;
}

static int
free_blocks(void **state)
{
	(void) state;
	while (block_count > 0)
		free(blocks[--block_count]);
	return 0;
}

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

/* Slots of a scan as text: kind letter and raw text, by slot; "-" when missing. */
static const char *
scan_text(MrJsonPlan *plan, const char *json)
{
	static char out[1024];
	static const char letters[] = "-0ftnsao";
	char *copy = malloc(strlen(json) + 1);
	char *p = out;
	MrJsonSlot slots[16];
	MrJsonError error;

	memcpy(copy, json, strlen(json));
	if (!mr_json_scan(plan, copy, (int) strlen(json), slots, &error))
		fail_msg("%s: error %d at %d", json, error.code, error.offset);
	for (int i = 0; i < mr_json_plan_slots(plan); i++)
	{
		*p++ = letters[slots[i].kind];
		if (slots[i].kind != MR_JSON_MISSING)
		{
			memcpy(p, slots[i].start, (size_t) slots[i].length);
			p += slots[i].length;
		}
		*p++ = ' ';
	}
	p[-1] = '\0';
	free(copy);
	return out;
}

static MrJsonPlan *
plan_of_keys(const char *const *keys, int count)
{
	MrJsonPlan *plan = mr_json_plan_create(allocate);

	for (int i = 0; i < count; i++)
		assert_int_equal(mr_json_plan_take(plan, mr_json_plan_key(plan, 0, keys[i],
																  (int) strlen(keys[i]))),
						 i);
	return plan;
}

static void
keys_are_found_in_any_order(void **state)
{
	static const char *const keys[] = {
		"a", "source", "a key of more than forty characters in all, not remembered"};
	MrJsonPlan *plan = plan_of_keys(keys, 3);

	(void) state;
	for (int round = 0; round < 2; round++)
	{
		assert_string_equal(scan_text(plan, "{\"a\":1,\"x\":[2],\"source\":\"s\"}"), "n1 ss -");
		assert_string_equal(scan_text(plan, "{\"a\":1,\"x\":[2],\"source\":\"s\"}"), "n1 ss -");
		assert_string_equal(scan_text(plan, "{\"a\":1,\"source\":\"s\"}"), "n1 ss -");
		assert_string_equal(scan_text(plan, "{\"source\":true,\"a\":null}"), "0null ttrue -");
		assert_string_equal(scan_text(plan, "{\"source\" : 1 , \"y\":\"a\", \"a\":{\"a\":5} }"),
							"o{\"a\":5} n1 -");
		assert_string_equal(scan_text(plan, "{\"sourc\":1,\"sources\":2,\"A\":3}"), "- - -");
		assert_string_equal(
			scan_text(plan,
					  "{\"a key of more than forty characters in all, not remembered\":1,\"a\":2}"),
			"n2 - n1");
		assert_string_equal(scan_text(plan, "{}"), "- - -");
	}
	/* more keys than are remembered */
	assert_string_equal(scan_text(plan, "{\"1\":0,\"2\":0,\"3\":0,\"4\":0,\"5\":0,\"6\":0,\"7\":0,"
										"\"8\":0,\"9\":0,\"10\":0,\"11\":0,"
										"\"12\":0,\"13\":0,\"14\":0,\"15\":0,\"16\":0,\"17\":0,"
										"\"18\":0,\"19\":0,\"20\":0,\"21\":0,"
										"\"22\":0,\"23\":0,\"24\":0,\"25\":0,\"26\":0,\"27\":0,"
										"\"28\":0,\"29\":0,\"30\":0,\"31\":0,"
										"\"32\":0,\"33\":0,\"34\":0,\"35\":0,\"36\":0,\"37\":0,"
										"\"38\":0,\"39\":0,\"40\":0,\"41\":0,"
										"\"42\":0,\"43\":0,\"44\":0,\"45\":0,\"46\":0,\"47\":0,"
										"\"48\":0,\"49\":0,\"50\":0,\"a\":7}"),
						"n7 - -");
}

static void
keys_may_be_escaped(void **state)
{
	static const char *const keys[] = {"id", "n\xc3\xa9", "q\"\\"};
	MrJsonPlan *plan = plan_of_keys(keys, 3);

	(void) state;
	for (int round = 0; round < 2; round++)
	{
		assert_string_equal(scan_text(plan, "{\"\\u0069d\":1,\"n\\u00e9\":2,\"q\\\"\\\\\":3}"),
							"n1 n2 n3");
		assert_string_equal(scan_text(plan,
									  "{\"i\\u0064x\":1,\"n\xc3\xa9\":2,\"q\\u0022\\u005c\":3}"),
							"- n2 n3");
	}
}

static void
the_last_of_equal_keys_counts(void **state)
{
	MrJsonPlan *plan = mr_json_plan_create(allocate);
	int a = mr_json_plan_key(plan, 0, "a", 1);

	(void) state;
	(void) mr_json_plan_take(plan, mr_json_plan_key(plan, a, "b", 1));
	(void) mr_json_plan_take(plan, mr_json_plan_key(plan, a, "c", 1));
	for (int round = 0; round < 2; round++)
	{
		assert_string_equal(scan_text(plan, "{\"a\":{\"b\":1,\"b\":2}}"), "n2 -");
		assert_string_equal(scan_text(plan, "{\"a\":{\"b\":1},\"a\":{\"c\":2}}"), "- n2");
		assert_string_equal(scan_text(plan, "{\"a\":{\"b\":1},\"a\":5}"), "- -");
		assert_string_equal(scan_text(plan, "{\"a\":5,\"a\":{\"b\":1}}"), "n1 -");
	}
}

static void
paths_lead_inside(void **state)
{
	MrJsonPlan *plan = mr_json_plan_create(allocate);
	int a = mr_json_plan_key(plan, 0, "a", 1);
	int b = mr_json_plan_key(plan, a, "b", 1);

	(void) state;
	(void) mr_json_plan_take(plan, 0);
	(void) mr_json_plan_take(plan, mr_json_plan_index(plan, b, 2));
	(void) mr_json_plan_take(plan, mr_json_plan_index(plan, b, 0));
	assert_int_equal(mr_json_plan_take(plan, b), 3);
	assert_int_equal(mr_json_plan_key(plan, 0, "a", 1), a);
	assert_int_equal(mr_json_plan_take(plan, b), 3);
	assert_string_equal(scan_text(plan, "{\"a\":{\"b\":[7,8,9]}}"),
						"o{\"a\":{\"b\":[7,8,9]}} n9 n7 a[7,8,9]");
	assert_string_equal(scan_text(plan, " {\"a\":{\"b\":[[]]}} "),
						"o{\"a\":{\"b\":[[]]}} - a[] a[[]]");
	assert_string_equal(scan_text(plan, "{\"a\":{\"b\":{}}}"), "o{\"a\":{\"b\":{}}} - - o{}");
	assert_string_equal(scan_text(plan, "[1]"), "a[1] - - -");
	assert_string_equal(scan_text(plan, "{\"a\":[]}"), "o{\"a\":[]} - - -");
	assert_string_equal(scan_text(plan, "\"x\""), "sx - - -");
}

static void
flags_tell_of_what_is_inside(void **state)
{
	static const char *const keys[] = {"a", "b", "c"};
	MrJsonPlan *plan = plan_of_keys(keys, 3);
	MrJsonSlot slots[3];
	MrJsonError error;
	const char *json =
		"{\"a\":[\"\\u0000\",{\"\\t\":1}],\"b\":[1e9999],\"c\":{\"x\":\"\xc3\xa9\"}}";
	char deep[400];

	(void) state;
	assert_true(mr_json_scan(plan, json, (int) strlen(json), slots, &error));
	assert_int_equal(slots[0].flags, MR_JSON_HAS_NUL | MR_JSON_ESCAPED);
	assert_int_equal(slots[1].flags, MR_JSON_LONG_NUMBER);
	assert_int_equal(slots[2].flags, MR_JSON_NOT_ASCII);
	memset(deep, '[', MR_JSON_DEEP + 1);
	memset(deep + MR_JSON_DEEP + 1, ']', MR_JSON_DEEP + 1);
	assert_true(mr_json_scan_whole(deep, 2 * MR_JSON_DEEP + 2, &slots[0], &error));
	assert_int_equal(slots[0].flags, MR_JSON_IS_DEEP);
	assert_true(mr_json_scan_whole(deep + 1, 2 * MR_JSON_DEEP, &slots[0], &error));
	assert_int_equal(slots[0].flags, 0);
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

/* Time grows with the document, not with its square, however it is made. */
static void
hostile_shapes_take_linear_time(void **state)
{
	static const char *const units[] = {"\"a\":{},", "\"a\":{\"b\":1},", "\"x\":\"\\u0061\",",
										"\"\\u0061\":[[]],"};
	int size = 4 * 1024 * 1024;
	char *json = malloc((size_t) size + 32);
	MrJsonPlan *plan = mr_json_plan_create(allocate);
	int a = mr_json_plan_key(plan, 0, "a", 1);
	MrJsonSlot slots[1];
	MrJsonError error;

	(void) state;
	(void) mr_json_plan_take(plan, mr_json_plan_key(plan, a, "b", 1));
	for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++)
	{
		size_t unit = strlen(units[u]);
		size_t n = 1;
		struct timespec from, to;

		json[0] = '{';
		for (; n + unit < (size_t) size; n += unit)
			memcpy(json + n, units[u], unit);
		json[n - 1] = '}';
		clock_gettime(CLOCK_MONOTONIC, &from);
		assert_true(mr_json_scan(plan, json, (int) n, slots, &error));
		clock_gettime(CLOCK_MONOTONIC, &to);
		assert_true(to.tv_sec - from.tv_sec <
					10); /* sanitized, on a busy machine: well under one */
	}
	free(json);
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
		cmocka_unit_test_teardown(keys_are_found_in_any_order, free_blocks),
		cmocka_unit_test_teardown(keys_may_be_escaped, free_blocks),
		cmocka_unit_test_teardown(the_last_of_equal_keys_counts, free_blocks),
		cmocka_unit_test_teardown(paths_lead_inside, free_blocks),
		cmocka_unit_test_teardown(flags_tell_of_what_is_inside, free_blocks),
		cmocka_unit_test(elements_come_one_by_one),
		cmocka_unit_test(escapes_become_characters),
		cmocka_unit_test(printing_is_short_and_safe),
		cmocka_unit_test_teardown(hostile_shapes_take_linear_time, free_blocks),
	};

	return cmocka_run_group_tests_name("json_scan", tests, NULL, NULL);
}
