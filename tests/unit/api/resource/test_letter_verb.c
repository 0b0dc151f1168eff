/* Bodies of replay and discard as typed parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/resource/letter_verb.h"

static MrLetterVerb verb;
static char error[200];

static bool
read_body(MrLetterVerbKind kind, const char *body)
{
	return mr_letter_verb_read(&verb, kind, body, strlen(body), error, sizeof(error));
}

static void
taken(void **state)
{
	(void) state;
	assert_true(
		read_body(MR_LETTER_REPLAY,
				  "{\"pipeline\":\"p\",\"ids\":[\"17\",\"18\"],\"dry_run\":true,\"rate\":5}"));
	assert_string_equal(verb.values[0], "p");
	assert_string_equal(verb.values[1], "{17,18}");
	assert_null(verb.values[2]);
	assert_string_equal(verb.values[4], "true");
	assert_string_equal(verb.values[6], "5");
	assert_null(verb.values[7]); /* the audit shows the ids */
	mr_letter_verb_free(&verb);
	assert_true(read_body(
		MR_LETTER_DISCARD,
		"{\"pipeline\":\"p\",\"fingerprint\":\"a'b\",\"sqlstate\":\"22P02\",\"reason\":\"r\"}"));
	assert_string_equal(verb.values[2], "a'b");
	assert_string_equal(verb.values[4], "false");
	assert_string_equal(verb.values[5], "r");
	assert_string_equal(verb.values[7], "fingerprint is a'b, sqlstate is 22P02 (HTTP API)");
	mr_letter_verb_free(&verb);
	/* what the records show of a long one is text that PostgreSQL takes */
	assert_true(read_body(
		MR_LETTER_DISCARD,
		"{\"pipeline\":\"p\",\"sqlstate\":\"0123456789012345678\\u00e4\",\"reason\":\"r\"}"));
	assert_string_equal(verb.values[7], "sqlstate is 0123456789012345678 (HTTP API)");
	mr_letter_verb_free(&verb);
	assert_true(read_body(MR_LETTER_REPLAY, "{\"pipeline\":\"p\",\"all\":true}"));
	assert_string_equal(verb.values[7], "all (HTTP API)");
	mr_letter_verb_free(&verb);
	assert_true(
		read_body(MR_LETTER_REPLAY, "{\"pipeline\":\"p\",\"ids\":[\"1\"],\"payload\":\"{}\"}"));
	assert_string_equal(verb.values[5], "{}");
	mr_letter_verb_free(&verb);
}

static void
refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"[]",
		"{}",
		"{\"pipeline\":\"p\"}",
		"{\"ids\":[\"1\"]}",
		"{\"pipeline\":1,\"ids\":[\"1\"]}",
		"{\"pipeline\":\"p\",\"ids\":[]}",
		"{\"pipeline\":\"p\",\"ids\":\"1\"}",
		"{\"pipeline\":\"p\",\"ids\":[\"1,2\"]}",
		"{\"pipeline\":\"p\",\"ids\":[\"\"]}",
		"{\"pipeline\":\"p\",\"ids\":[1]}",
		"{\"pipeline\":\"p\",\"ids\":[1.5]}",
		"{\"pipeline\":\"p\",\"ids\":[\"1234567890123456789\"]}",
		"{\"pipeline\":\"p\",\"ids\":[\"1\"],\"all\":true}",
		"{\"pipeline\":\"p\",\"all\":false}",
		"{\"pipeline\":\"p\",\"all\":\"yes\"}",
		"{\"pipeline\":\"p\",\"all\":true,\"dry_run\":1}",
		"{\"pipeline\":\"p\",\"all\":true,\"where\":\"true\"}",
		"{\"pipeline\":\"p\",\"all\":true,\"payload\":\"x\"}",
		"{\"pipeline\":\"p\",\"ids\":[\"1\",\"2\"],\"payload\":\"x\"}",
		"{\"pipeline\":\"p\",\"all\":true,\"rate\":\"1\"}",
		"{\"pipeline\":\"p\",\"all\":true,\"reason\":\"x\"}"};

	(void) state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		if (read_body(MR_LETTER_REPLAY, wrong[i]))
			fail_msg("%s", wrong[i]);
		mr_letter_verb_free(&verb);
	}
	assert_false(
		read_body(MR_LETTER_DISCARD, "{\"pipeline\":\"p\",\"ids\":[\"1\"],\"payload\":\"x\"}"));
	mr_letter_verb_free(&verb);
}

/* What is not true or false, or no text, is named. */
static void
said(void **state)
{
	static const struct
	{
		const char *body;
		const char *error;
	} wrong[] = {
		{"{\"pipeline\":\"p\",\"all\":true,\"dry_run\":\"yes\"}",
		 "dry_run is \"yes\", expected true or false."},
		{"{\"pipeline\":\"p\",\"all\":false}", "all is false, expected true."},
		{"{\"pipeline\":[1],\"all\":true}", "pipeline is [1], expected a string."},
		{"{\"pipeline\":\"p\",\"all\":true,\"rate\":0}",
		 "rate is 0, expected a whole number from 1 to 1000000."},
		{"{\"pipeline\":\"p\",\"al\":true}",
		 "There is no member \"al\": expected pipeline, ids, fingerprint, sqlstate, all, dry_run, "
		 "payload or rate."},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		assert_false(read_body(MR_LETTER_REPLAY, wrong[i].body));
		assert_string_equal(error, wrong[i].error);
		mr_letter_verb_free(&verb);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taken),
		cmocka_unit_test(refused),
		cmocka_unit_test(said),
	};

	return cmocka_run_group_tests_name("resource/letter_verb", tests, NULL, NULL);
}
