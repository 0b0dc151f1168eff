/* start_at: words, numbers, times with zones, nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ingestor/fetch/start_at.h"

static void
understood(void **state)
{
	static const struct
	{
		const char *text;
		int64_t start;
	} cases[] = {
		{"earliest", MR_START_EARLIEST},
		{"latest", MR_START_LATEST},
		{"1700000000123", 1700000000123},
		{"2023-11-14T22:13:20Z", 1700000000000},
		{"2023-11-14 22:13:20.123456+00", 1700000000123},
		{"2023-11-14 23:13:20+01", 1700000000000},
		{"2023-11-14 18:43:20-0330", 1700000000000},
		{"2023-11-15 03:43:20+05:30", 1700000000000},
		{"2023-11-14 22:13", 1699999980000},
		{"1970-01-01", 0},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		int64_t start = 42;

		assert_true(mr_start_at_parse(cases[i].text, &start));
		assert_int_equal(start, cases[i].start);
	}
}

static void
refused(void **state)
{
	static const char *const cases[] = {
		"",
		"yesterday",
		"2023-13-01",
		"2023-11-14 25:00",
		"2023-11-14 22:13:20 CET",
		"2023-11-14x",
		"2023-11-14 22:13:20.",
		"2023-11-14 22:13:20+",
		"earliest ",
	};
	int64_t start;

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_false(mr_start_at_parse(cases[i], &start));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(understood), cmocka_unit_test(refused)};

	return cmocka_run_group_tests_name("ingestor/start_at", tests, NULL, NULL);
}
