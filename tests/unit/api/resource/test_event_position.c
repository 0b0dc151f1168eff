/* Positions of a stream as the ids of its events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/resource/event_position.h"

#define SYSTEM "7300-00000001-5-16384"

static void
expect(const MrEventPosition *position, const char *text)
{
	MrEventPosition back;
	MrBuffer out = {0};

	mr_event_position_write(&out, SYSTEM, position);
	assert_string_equal(mr_buffer_string(&out), text);
	assert_int_equal(mr_event_position_read(&back, SYSTEM, text), MR_POSITION_OK);
	assert_string_equal(back.since, position->since);
	if (position->until == NULL)
		assert_true(back.until == NULL && back.xid == NULL && back.id == NULL);
	else
	{
		assert_string_equal(back.until, position->until);
		assert_string_equal(back.xid, position->xid);
		assert_string_equal(back.id, position->id);
	}
	mr_event_position_free(&back);
	assert_int_equal(mr_event_position_read(&back, "7301-00000001-5-16384", text),
					 MR_POSITION_ELSEWHERE);
	mr_event_position_free(&back);
	mr_buffer_free(&out);
}

static void
both_ways(void **state)
{
	const MrEventPosition at = {.since = "10:12:10"};
	const MrEventPosition within = {"10:12:10", "13:13:", "12", "a b.c/d\xc3\xa9"};

	(void) state;
	expect(&at, "1." SYSTEM ".10-2-0");
	expect(&within, "1." SYSTEM ".10-2-0.13-0.12.a%20b.c%2Fd%C3%A9");
}

static void
invalid(void **state)
{
	static const char *const texts[] = {
		"",
		"1",
		"1.",
		"1." SYSTEM,
		"1." SYSTEM ".",
		"1." SYSTEM ".10",
		"2." SYSTEM ".10-2-0",
		"1." SYSTEM ".10-2-0.13-0",
		"1." SYSTEM ".10-2-0.13-0.12",
		"1." SYSTEM ".10-2-0.13-0.12.",
		"1." SYSTEM ".10-2-0.13-0.x.5",
		"1." SYSTEM ".10-2-0.13-0.12345678901234567890.5",
		"1." SYSTEM ".13-0.10-2-0.12.5", /* backward */
		"1." SYSTEM ".10-2-0.x.12.5",
		/* an id that is no text */
		"1." SYSTEM ".10-2-0.13-0.12.%FF",
		"1." SYSTEM ".10-2-0.13-0.12.%00",
		"1." SYSTEM ".10-2-0.13-0.12.%4",
		"1." SYSTEM ".10-2-0.13-0.12.\xff",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		MrEventPosition position;

		if (mr_event_position_read(&position, SYSTEM, texts[i]) != MR_POSITION_INVALID)
			fail_msg("%s", texts[i]);
		mr_event_position_free(&position);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways),
		cmocka_unit_test(invalid),
	};

	return cmocka_run_group_tests_name("resource/event_position", tests, NULL, NULL);
}
