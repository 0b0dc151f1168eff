/* What is advised about errors of the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ingestor/control/advice.h"

static void
advice_by_sqlstate(void **state)
{
	char text[512];
	char small[24];

	(void) state;
	mr_control_advice("42501", "ingestor", "app", text, sizeof(text));
	assert_string_equal(
		text, "as a superuser, in database \"app\": SELECT millrace.grant_ingestor('ingestor');");
	mr_control_advice("3F000", "ingestor", "app", text, sizeof(text));
	assert_non_null(strstr(text, "database \"app\" has no extension millrace"));
	assert_non_null(strstr(text, "CREATE EXTENSION millrace; SELECT millrace.grant_ingestor('ing"));
	mr_control_advice("57014", "ingestor", "app", text, sizeof(text));
	assert_string_equal(text, "");
	mr_control_advice("42501", "ingestor", "app", small, sizeof(small)); /* is cut */
	assert_int_equal(strlen(small), sizeof(small) - 1);
}

/* An identifier inside a literal: both may need quotes. */
static void
names_of_roles_can_be_pasted(void **state)
{
	static const struct
	{
		const char *role;
		const char *literal;
	} cases[] = {
		{"a_1", "('a_1')"},      {"A", "('\"A\"')"},         {"1a", "('\"1a\"')"},
		{"o'b", "('\"o''b\"')"}, {"o\"b", "('\"o\"\"b\"')"}, {"", "('\"\"')"},
	};
	char text[512];

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		mr_control_advice("42501", cases[i].role, "app", text, sizeof(text));
		assert_non_null(strstr(text, cases[i].literal));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(advice_by_sqlstate),
		cmocka_unit_test(names_of_roles_can_be_pasted),
	};

	return cmocka_run_group_tests_name("ingestor/advice", tests, NULL, NULL);
}
