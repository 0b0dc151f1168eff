/* Content negotiation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/request/accept.h"

static const char *const types[] = {"application/json", "application/x-ndjson", "text/csv"};

static void
choices(void **state)
{
	static const struct
	{
		const char *accept;
		int choice;
	} cases[] = {
		{NULL, 0},
		{"", 0},
		{"*/*", 0},
		{"text/csv", 2},
		{"TEXT/CSV", 2},
		{"text/*", 2},
		{"text/csv, application/json", 0},
		{"text/csv;q=0.9, application/json;q=0.1", 2},
		{"text/csv ; Q=1.0 , application/json; q=0.999", 2},
		{"application/json;q=0, */*", 1},
		{"application/*;q=0.5, application/x-ndjson", 1},
		{"text/html", -1},
		{"application/json;q=0", -1},
		{"application/jsonx", -1},
		{"application", -1},
		{",, ,", -1},
		{"application/json;charset=utf-8;q=1", 0},
		{"text/csv;q=0.5;q=0.7", 2},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (mr_accept_choose(cases[i].accept, types, 3) != cases[i].choice)
			fail_msg("%s: %d", cases[i].accept, mr_accept_choose(cases[i].accept, types, 3));
}

static void
codings(void **state)
{
	static const struct
	{
		const char *accept;
		bool gzip;
	} cases[] = {
		{NULL, false},
		{"", false},
		{"gzip", true},
		{"GZIP", true},
		{"x-gzip", true},
		{"br, gzip", true},
		{"gzip;q=0", false},
		{"gzip;q=0.000", false},
		{"gzip;q=0.001", true},
		{"*", true},
		{"*;q=0", false},
		{"gzip;q=0, *", false},
		{"identity;q=0.5, gzip;q=0.4", false},
		{"identity;q=0.5, gzip;q=0.5", true},
		{"identity", false},
		{"gzipped", false},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (mr_accept_gzip(cases[i].accept) != cases[i].gzip)
			fail_msg("%s", cases[i].accept);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(choices), cmocka_unit_test(codings)};

	return cmocka_run_group_tests_name("request/accept", tests, NULL, NULL);
}
