/*
 * test_format_debezium.c - change events: the row of each, what is refused, and values that the source left out
 */
#include "envelopes.h"

#include "decode/format_debezium.h"

static void
change_event_is_of_its_row(void **state)
{
	static const char *const change =
		"{\"before\":{\"id\":1},\"after\":{\"id\":2},\"source\":{\"lsn\":5},"
		"\"op\":\"%c\"}";
	char bare[200];
	char wrapped[300];

	(void) state;
	for (const char *op = "crud"; *op != '\0'; op++)
	{
		Opened opened;

		snprintf(bare, sizeof(bare), change, *op);
		snprintf(wrapped, sizeof(wrapped), "{\"schema\":{\"op\":\"x\"},\"payload\":%s}", bare);
		opened = open_text(MR_FORMAT_DEBEZIUM, bare);
		check_document(&opened, *op == 'd' ? "{\"id\":1}" : "{\"id\":2}");
		assert_int_equal(opened.envelope.deletes, *op == 'd');
		assert_int_equal(opened.envelope.parts[MR_DEBEZIUM_SCHEMA].kind, MR_JSON_MISSING);
		opened = open_text(MR_FORMAT_DEBEZIUM, wrapped);
		check_document(&opened, *op == 'd' ? "{\"id\":1}" : "{\"id\":2}");
		assert_int_equal(opened.envelope.parts[MR_DEBEZIUM_SCHEMA].kind, MR_JSON_OBJECT);
		assert_int_equal(opened.envelope.parts[MR_DEBEZIUM_SOURCE].kind, MR_JSON_OBJECT);
	}
	/* a payload beside an op is a column of nobody's */
	{
		Opened opened =
			open_text(MR_FORMAT_DEBEZIUM, "{\"op\":\"c\",\"after\":{},\"payload\":{\"op\":\"d\"}}");

		check_document(&opened, "{}");
		opened = open_text(MR_FORMAT_DEBEZIUM, "{\"schema\":null,\"payload\":null}");
		check_document(&opened, NULL);
		assert_true(opened.envelope.tombstone);
	}
}

static void
change_event_is_refused(void **state)
{
	(void) state;
	check_problem(MR_FORMAT_DEBEZIUM, "{\"id\":1}", MR_ENVELOPE_NO_OP);
	check_problem(MR_FORMAT_DEBEZIUM, "{\"payload\":{\"id\":1}}", MR_ENVELOPE_NO_OP);
	check_problem(MR_FORMAT_DEBEZIUM, "{\"payload\":[\"op\"]}", MR_ENVELOPE_NO_OP);
	check_problem(MR_FORMAT_DEBEZIUM, "{\"op\":\"t\"}", MR_ENVELOPE_TRUNCATE);
	check_problem(MR_FORMAT_DEBEZIUM, "{\"op\":\"m\"}", MR_ENVELOPE_BAD_OP);
	check_problem(MR_FORMAT_DEBEZIUM, "{\"op\":null}", MR_ENVELOPE_BAD_OP);
	check_problem(MR_FORMAT_DEBEZIUM, "{\"op\":\"uu\",\"after\":{}}", MR_ENVELOPE_BAD_OP);
	check_problem(MR_FORMAT_DEBEZIUM, "{\"op\":\"u\",\"before\":{}}", MR_ENVELOPE_NO_ROW);
	check_problem(MR_FORMAT_DEBEZIUM, "{\"op\":\"u\",\"after\":\"x\"}", MR_ENVELOPE_NO_ROW);
	check_problem(MR_FORMAT_DEBEZIUM, "{\"op\":\"d\",\"after\":{},\"before\":null}",
				  MR_ENVELOPE_NO_ROW);
	check_problem(MR_FORMAT_DEBEZIUM, "[]", MR_ENVELOPE_NOT_OBJECT);
	check_problem(MR_FORMAT_DEBEZIUM, "", MR_ENVELOPE_NOT_JSON);
	check_problem(MR_FORMAT_DEBEZIUM, "{\"op\":\"c\",\"after\":{\"id\":1}", MR_ENVELOPE_NOT_JSON);
}

static void
left_out_values_are_known(void **state)
{
	static const struct
	{
		const char *json;
		bool left_out;
	} cases[] = {{"\"__debezium_unavailable_value\"", true},
				 {"\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"", true},
				 {"[\"__debezium_unavailable_value\"]", true},
				 {"[ \"__debezium_unavailable_value\" , 1]", false},
				 {"[]", false},
				 {"\"__debezium_unavailable_value \"", false},
				 {"{\"a\":\"__debezium_unavailable_value\"}", false},
				 {"null", false}};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char *copy = copy_of(cases[i].json, strlen(cases[i].json));
		MrJsonSlot slot;
		MrJsonError error;

		assert_true(mr_json_scan_whole(copy, (int) strlen(cases[i].json), &slot, &error));
		assert_int_equal(mr_debezium_is_left_out(&slot), cases[i].left_out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(change_event_is_of_its_row, free_blocks),
		cmocka_unit_test_teardown(change_event_is_refused, free_blocks),
		cmocka_unit_test_teardown(left_out_values_are_known, free_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
