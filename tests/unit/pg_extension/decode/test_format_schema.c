/*
 * test_format_schema.c - what schemas of Kafka Connect say of values, and decimals as their bytes
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "decode/format_schema.h"

static void *blocks[1000];
static int block_count;

static void *
allocate(size_t size)
{
	assert_true(block_count < 1000);
	return blocks[block_count++] = calloc(1, size);
}

static int
free_blocks(void **state)
{
	(void) state;
	while (block_count > 0)
		free(blocks[--block_count]);
	return 0;
}

static MrJsonSlot
slot_of(const char *json)
{
	size_t length = strlen(json);
	char *copy = memcpy(allocate(length), json, length);
	MrJsonSlot slot;
	MrJsonError error;

	assert_true(mr_json_scan_whole(copy, (int) length, &slot, &error));
	return slot;
}

static void
schema_says_units(void **state)
{
	static const struct
	{
		const char *schema;
		MrSchemaUnit unit;
		int scale;
	} cases[] = {
		{"{\"type\":\"int32\"}", MR_SCHEMA_PLAIN, 0},
		{"{\"type\":\"int32\",\"name\":\"io.debezium.time.Date\"}", MR_SCHEMA_DAYS, 0},
		{"{\"type\":\"int64\",\"name\":\"io.debezium.time.MicroTimestamp\",\"version\":1}",
		 MR_SCHEMA_US, 0},
		{"{\"type\":\"int64\",\"name\":\"org.apache.kafka.connect.data.Timestamp\"}", MR_SCHEMA_MS,
		 0},
		{"{\"type\":\"string\",\"name\":\"io.debezium.time.ZonedTimestamp\"}", MR_SCHEMA_PLAIN, 0},
		{"{\"type\":\"bytes\"}", MR_SCHEMA_BYTES, 0},
		{"{\"type\":\"bytes\",\"name\":\"org.apache.kafka.connect.data.Decimal\",\"parameters\":{"
		 "\"scale\":\"-2\"}}",
		 MR_SCHEMA_DECIMAL, -2},
		{"{\"type\":\"bytes\",\"name\":\"org.apache.kafka.connect.data.Decimal\"}", MR_SCHEMA_BYTES,
		 0},
		{"{\"type\":\"bytes\",\"name\":\"org.apache.kafka.connect.data.Decimal\",\"parameters\":{"
		 "\"scale\":\"9999999999\"}}",
		 MR_SCHEMA_BYTES, 0},
		{"{\"type\":5,\"name\":[],\"parameters\":7}", MR_SCHEMA_PLAIN, 0},
		{"[]", MR_SCHEMA_PLAIN, 0},
	};
	MrSchemaReader *reader = mr_schema_reader_create(allocate);

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		MrJsonSlot schema = slot_of(cases[i].schema);
		MrSchemaType type = mr_schema_type(reader, &schema);

		assert_int_equal(type.unit, cases[i].unit);
		assert_int_equal(type.scale, cases[i].scale);
	}
}

static void
schema_is_walked(void **state)
{
	MrSchemaReader *reader = mr_schema_reader_create(allocate);
	MrJsonSlot schema = slot_of("{\"type\":\"struct\",\"fields\":[7,{\"field\":\"a\"},{\"field\":"
								"\"b\\u0063\",\"type\":\"array\","
								"\"items\":{\"name\":\"io.debezium.time.NanoTime\"}}]}");
	MrJsonSlot below;
	MrJsonSlot items;

	(void) state;
	assert_true(mr_schema_below(reader, &schema, "bc", 2, &below));
	assert_true(mr_schema_below(reader, &below, NULL, 0, &items));
	assert_int_equal(mr_schema_type(reader, &items).unit, MR_SCHEMA_NS);
	assert_true(mr_schema_below(reader, &schema, "a", 1, &below));
	assert_false(mr_schema_below(reader, &below, NULL, 0, &items));
	assert_false(mr_schema_below(reader, &below, "a", 1, &items));
	assert_false(mr_schema_below(reader, &schema, "c", 1, &below));
	schema = slot_of("{\"fields\":{\"field\":\"a\"}}");
	assert_false(mr_schema_below(reader, &schema, "a", 1, &below));
}

static void
decimals_are_exact(void **state)
{
	static const struct
	{
		const char *bytes;
		int length;
		int scale;
		const char *text; /* NULL: refused */
	} cases[] = {
		{"\x04\xd2", 2, 2, "12.34"},
		{"\x00\xde", 2, 2, "2.22"},
		{"\xff\x31", 2, 3, "-0.207"},
		{"\x00", 1, 0, "0"},
		{"\x00", 1, 3, "0.000"},
		{"\x00", 1, -3, "0"},
		{"\x05", 1, 3, "0.005"},
		{"\x05", 1, -3, "5000"},
		{"\x80", 1, 0, "-128"},
		{"\xff", 1, 0, "-1"},
		{"\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10, 0, "4722366482869645213695"},
		{"\x80\x00\x00\x00\x00\x00\x00\x00\x00", 9, 4, "-236118324143482260.6848"},
		{"", 0, 0, NULL},
		{"", -1, 0, NULL},
		{"\x05", 1, 1001, NULL},
	};
	char text[MR_SCHEMA_DECIMAL_SIZE];
	unsigned char longest[MR_SCHEMA_DECIMAL_BYTES + 1];

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		bool fine = mr_schema_decimal((const unsigned char *) cases[i].bytes, cases[i].length,
									  cases[i].scale, text);

		assert_int_equal(fine, cases[i].text != NULL);
		if (fine)
			assert_string_equal(text, cases[i].text);
	}
	memset(longest, 0x80, sizeof(longest));
	for (int scale = -MR_SCHEMA_SCALE_MAX; scale <= MR_SCHEMA_SCALE_MAX; scale += 250)
		assert_true(mr_schema_decimal(longest, MR_SCHEMA_DECIMAL_BYTES, scale, text));
	assert_false(mr_schema_decimal(longest, MR_SCHEMA_DECIMAL_BYTES + 1, 0, text));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(schema_says_units, free_blocks),
		cmocka_unit_test_teardown(schema_is_walked, free_blocks),
		cmocka_unit_test_teardown(decimals_are_exact, free_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
