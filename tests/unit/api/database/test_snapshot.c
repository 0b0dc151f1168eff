/* Snapshots as text: which are valid, their order, the short spelling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/database/snapshot.h"

static const char *const valid[] = {"1:1:", "731:731:", "731:735:731,733", "10:20:10,11,19",
									"9000000000000000000:9000000000000000000:"};

static void
texts(void **state)
{
	static const char *const wrong[] = {
		"",       "1",       "1:2",     "0:1:",   "2:1:",
		"1:2:2",  "1:3:2,1", "1:3:1,1", "1:3:1,", "1:3:,1",
		"1:3: 1", "a:b:",    "1:3:1;",  "-1:3:",  "5:9:4",
		"1:1:\n", ":1:",     "1::",     "1:3:1 ", "99999999999999999999:99999999999999999999:"};

	(void) state;
	for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++)
		if (!mr_snapshot_is_valid(valid[i]))
			fail_msg("%s", valid[i]);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (mr_snapshot_is_valid(wrong[i]))
			fail_msg("%s", wrong[i]);
}

/* Each has seen more than the one before. */
static void
order(void **state)
{
	static const char *const in_order[] = {"10:10:",    "10:12:10,11", "10:12:10", "12:12:",
										   "9:13:9,12", "13:13:",      "13:20:13"};
	const int count = (int) (sizeof(in_order) / sizeof(in_order[0]));

	(void) state;
	for (int i = 0; i < count; i++)
		for (int j = 0; j < count; j++)
		{
			int found = mr_snapshot_compare(in_order[i], in_order[j]);

			if ((found < 0) != (i < j) || (found > 0) != (i > j))
				fail_msg("%s %s: %d", in_order[i], in_order[j], found);
		}
}

static void
packed(void **state)
{
	static const char *const wrong[] = {"",      "1",       "1-",  "-1",     "1-2-",
										"1-2-2", "1-3-1-0", "x-1", "1-2-1x", "0-1"};
	MrBuffer out = {0};
	MrBuffer back = {0};

	(void) state;
	mr_snapshot_pack(&out, "731:735:731,733");
	assert_string_equal(mr_buffer_string(&out), "731-4-0-2");
	for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++)
	{
		out.len = back.len = 0;
		mr_snapshot_pack(&out, valid[i]);
		assert_true(mr_snapshot_unpack(&back, out.data, out.len));
		assert_string_equal(mr_buffer_string(&back), valid[i]);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		back.len = 0;
		if (mr_snapshot_unpack(&back, wrong[i], strlen(wrong[i])))
			fail_msg("%s", wrong[i]);
	}
	mr_buffer_free(&out);
	mr_buffer_free(&back);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(order),
		cmocka_unit_test(packed),
	};

	return cmocka_run_group_tests_name("database/snapshot", tests, NULL, NULL);
}
