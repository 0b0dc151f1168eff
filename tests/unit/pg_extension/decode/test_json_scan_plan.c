/*
 * test_json_scan_plan.c - picking values out of a document by their paths
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "decode/json_scan.h"

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

/* Many fields, some with the same hash, in objects with more keys than are remembered. */
static void
wide_objects_are_read_whole(void **state)
{
	enum
	{
		FIELDS = 300,
		KEYS = 1000
	};
	static char json[KEYS * 40];
	MrJsonPlan *plan = mr_json_plan_create(allocate);
	MrJsonSlot slots[FIELDS];
	MrJsonError error;
	char key[40];
	char *p = json;

	(void) state;
	for (int i = 0; i < FIELDS; i++)
	{
		int n = sprintf(key, "prefix%03dsuffix", i * 3);

		assert_int_equal(mr_json_plan_take(plan, mr_json_plan_key(plan, 0, key, n)), i);
	}
	mr_json_plan_ready(plan);
	for (int i = 0; i < KEYS; i++)
		p += sprintf(p, "%c\"prefix%03dsuffix\":%d", i == 0 ? '{' : ',', i, i);
	*p++ = '}';
	for (int round = 0; round < 2; round++)
	{
		assert_true(mr_json_scan(plan, json, (int) (p - json), slots, &error));
		for (int i = 0; i < FIELDS; i++)
		{
			assert_int_equal(slots[i].kind, MR_JSON_NUMBER);
			assert_int_equal(slots[i].mantissa, i * 3);
		}
	}
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
	mr_json_plan_ready(plan);
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
	mr_json_plan_ready(plan);
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
flags_say_what_is_inside(void **state)
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
	mr_json_plan_ready(plan);
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
		cmocka_unit_test_teardown(keys_are_found_in_any_order, free_blocks),
		cmocka_unit_test_teardown(wide_objects_are_read_whole, free_blocks),
		cmocka_unit_test_teardown(keys_may_be_escaped, free_blocks),
		cmocka_unit_test_teardown(the_last_of_equal_keys_counts, free_blocks),
		cmocka_unit_test_teardown(paths_lead_inside, free_blocks),
		cmocka_unit_test_teardown(flags_say_what_is_inside, free_blocks),
		cmocka_unit_test_teardown(hostile_shapes_take_linear_time, free_blocks),
	};

	return cmocka_run_group_tests_name("json_scan_plan", tests, NULL, NULL);
}
