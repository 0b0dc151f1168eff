/*
 * Rows as JSON, of results that are made here. What PostgreSQL makes of the same is compared in
 * tests/e2e/test_api_rows.py, for each type and hostile values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/database/row_json.h"

#define BOOLEAN     16
#define BIGINT      20
#define TEXT        25
#define JSON        114
#define REAL        700
#define DOUBLE      701
#define INT4_ARRAY  1007
#define DATE        1082
#define TIMESTAMP   1114
#define TIMESTAMPTZ 1184
#define NUMERIC     1700

/* A result with one row of one column "v". */
static PGresult *
result_of(Oid type, const char *value)
{
	PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc column = {.name = (char *) "v", .typid = type};

	assert_true(PQsetResultAttrs(result, 1, &column));
	assert_true(PQsetvalue(result, 0, 0, (char *) value, value != NULL ? (int) strlen(value) : -1));
	return result;
}

static void
expect(Oid type, const char *value, const char *json)
{
	PGresult *result = result_of(type, value);
	MrRowJson *rows = mr_row_json_new(result, 1);
	MrBuffer out = {0};
	MrBuffer expected = {0};

	mr_row_json_put(rows, 0, &out);
	mr_buffer_printf(&expected, "{\"v\":%s}", json);
	assert_string_equal(mr_buffer_string(&out), mr_buffer_string(&expected));
	mr_buffer_free(&out);
	mr_buffer_free(&expected);
	mr_row_json_free(rows);
	PQclear(result);
}

static void
numbers(void **state)
{
	(void) state;
	expect(DOUBLE, "1e+300", "1e+300");
	expect(DOUBLE, "-0", "-0");
	expect(REAL, "-1.5", "-1.5");
	expect(NUMERIC, "0.10", "0.10");
	expect(DOUBLE, "NaN", "\"NaN\"");
	expect(NUMERIC, "Infinity", "\"Infinity\"");
	expect(REAL, "-Infinity", "\"-Infinity\"");
	expect(BIGINT, "-9223372036854775808", "\"-9223372036854775808\"");
}

static void
booleans_and_nulls(void **state)
{
	(void) state;
	expect(BOOLEAN, "t", "true");
	expect(BOOLEAN, "f", "false");
	expect(BOOLEAN, NULL, "null");
	expect(TEXT, NULL, "null");
	expect(TEXT, "", "\"\"");
	expect(JSON, "null", "null");
	expect(JSON, " {\"a\" : [1, 2]}\n", " {\"a\" : [1, 2]}\n");
}

static void
times(void **state)
{
	(void) state;
	expect(TIMESTAMPTZ, "2026-01-02 03:04:05+00", "\"2026-01-02T03:04:05+00:00\"");
	expect(TIMESTAMPTZ, "2026-01-02 03:04:05.000001+00", "\"2026-01-02T03:04:05.000001+00:00\"");
	expect(TIMESTAMPTZ, "0044-03-15 12:00:00.5+00 BC", "\"0044-03-15T12:00:00.5+00:00 BC\"");
	expect(TIMESTAMPTZ, "294276-12-31 23:59:59+00", "\"294276-12-31T23:59:59+00:00\"");
	expect(TIMESTAMPTZ, "1890-01-01 00:00:00-05:30", "\"1890-01-01T00:00:00-05:30\"");
	expect(TIMESTAMPTZ, "1890-01-01 00:00:00+00:53:28 BC", "\"1890-01-01T00:00:00+00:53:28 BC\"");
	expect(TIMESTAMPTZ, "-infinity", "\"-infinity\"");
	expect(TIMESTAMP, "0001-01-01 00:00:00 BC", "\"0001-01-01T00:00:00 BC\"");
	expect(TIMESTAMP, "2026-01-02 03:04:05.5", "\"2026-01-02T03:04:05.5\"");
	expect(TIMESTAMP, "infinity", "\"infinity\"");
	expect(DATE, "0001-12-31 BC", "\"0001-12-31 BC\"");
}

static void
texts(void **state)
{
	MrBuffer value = {0};
	MrBuffer json = {0};

	(void) state;
	expect(TEXT, "a\"b\\c/d", "\"a\\\"b\\\\c/d\"");
	expect(TEXT, "\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"");
	expect(TEXT, "\x01\x1f\x7f \xc3\xa9\xf0\x9f\x98\x80",
		   "\"\\u0001\\u001f\x7f \xc3\xa9\xf0\x9f\x98\x80\"");
	expect(TEXT, "\xff", "\"\xff\""); /* of a database that does not know what its texts are */
	expect(INT4_ARRAY, "{1,2}", "\"{1,2}\"");
	/* each character grows, and the text is longer than any room that is there */
	mr_buffer_append(&json, "\"", 1);
	for (int i = 0; i < 5000; i++)
	{
		mr_buffer_append(&value, "\x02", 1);
		mr_buffer_append(&json, "\\u0002", 6);
	}
	mr_buffer_append(&json, "\"", 1);
	expect(TEXT, mr_buffer_string(&value), mr_buffer_string(&json));
	mr_buffer_free(&value);
	mr_buffer_free(&json);
}

/* Of a result's columns only the first, and names that need an escape. */
static void
rows_and_columns(void **state)
{
	PGresAttDesc columns[] = {{.name = (char *) "a\"\n", .typid = TEXT},
							  {.name = (char *) "", .typid = DOUBLE},
							  {.name = (char *) "hidden", .typid = TEXT}};
	PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	MrRowJson *rows;
	MrBuffer out = {0};

	(void) state;
	assert_true(PQsetResultAttrs(result, 3, columns));
	for (int row = 0; row < 2; row++)
		for (int i = 0; i < 3; i++)
			assert_true(PQsetvalue(result, row, i, (char *) (row == 0 ? "1" : "2"), 1));
	rows = mr_row_json_new(result, 2);
	mr_row_json_put(rows, 1, &out);
	mr_row_json_put(rows, 0, &out);
	assert_string_equal(mr_buffer_string(&out),
						"{\"a\\\"\\n\":\"2\",\"\":2}{\"a\\\"\\n\":\"1\",\"\":1}");
	mr_buffer_free(&out);
	mr_row_json_free(rows);
	PQclear(result);
}

static void
types_of_numbers(void **state)
{
	static const char *const numbers[] = {"smallint", "integer",      "real", "double precision",
										  "numeric",  "numeric(5,1)", "json", "jsonb"};
	static const char *const others[] = {"boolean",   "bigint",
										 "text",      "interval",
										 "integer[]", "character(5)",
										 "bpchar",    "timestamp with time zone",
										 "degrees"};

	(void) state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		assert_true(mr_row_json_has_numbers(numbers[i]));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(mr_row_json_has_numbers(others[i]));
}

static void
known_types(void **state)
{
	static const char *const known[] = {"uuid",
										"text",
										"character varying(20)",
										"\"char\"",
										"numeric(10,2)",
										"timestamp(3) with time zone",
										"timestamp without time zone",
										"xid8"};
	static const char *const others[] = {"integer[]", "public.uuid", "timestamp", "text[]", "",
										 "tex",       "texts",       "int4range", "money"};

	(void) state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		assert_true(mr_row_json_knows(known[i]));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(mr_row_json_knows(others[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(booleans_and_nulls),
		cmocka_unit_test(times),
		cmocka_unit_test(texts),
		cmocka_unit_test(rows_and_columns),
		cmocka_unit_test(types_of_numbers),
		cmocka_unit_test(known_types),
	};

	return cmocka_run_group_tests_name("database/row_json", tests, NULL, NULL);
}
