/*
 * test_json_scan_plan_unread.c - keys that no path leads to
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "decode/json_scan_plan.h"

/* Never freed, as in the extension: the arena of a plan goes with its owner. */
static void *
keep(size_t size)
{
	static char arena[1 << 20];
	static size_t used;
	void *p = arena + used;

	used += (size + 15) & ~(size_t) 15;
	assert_true(used <= sizeof(arena));
	return p;
}

static void
append(void *argument, const char *path, const MrJsonSlot *slot)
{
	char *out = argument;

	snprintf(out + strlen(out), 1000 - strlen(out), "%s:%d ", path, slot->kind);
}

/* id, place.city, whole (all of it), list[0].n */
static MrJsonPlan *
plan_of_some(void)
{
	MrJsonPlan *plan = mr_json_plan_create(keep);
	int place = mr_json_plan_key(plan, 0, "place", 5);
	int whole = mr_json_plan_key(plan, 0, "whole", 5);
	int list = mr_json_plan_index(plan, mr_json_plan_key(plan, 0, "list", 4), 0);

	(void) mr_json_plan_take(plan, mr_json_plan_key(plan, 0, "id", 2));
	(void) mr_json_plan_take(plan, mr_json_plan_key(plan, place, "city", 4));
	(void) mr_json_plan_take(plan, whole);
	(void) mr_json_plan_take(plan, mr_json_plan_key(plan, list, "n", 1));
	mr_json_plan_ready(plan);
	return plan;
}

static void
what_is_left(void **state)
{
	static const char *const cases[][2] = {
		{"{}", ""},
		{"{\"id\":1}", ""},
		{"{\"id\":1,\"naam\":\"c\",\"n\":null}", "naam:5 n:1 "},
		{"{\"place\":{\"city\":1,\"zip\":[2]},\"whole\":{\"x\":1}}", "place.zip:6 "},
		{"{\"place\":5,\"a b\":{},\"\":1,\"Id\":true}", "\"a b\":7 \"\":4 Id:3 "},
		{"{\"i\\u0064\":1,\"x\\u0000\":1}", "\"x\\u0000\":4 "},
		{"{\"list\":[{\"n\":1,\"m\":2}]}", ""},
		{"[1]", ""},
		{"{\"id\":", ""},
	};
	MrJsonPlan *plan = plan_of_some();

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char out[1000] = "";

		mr_json_plan_unread(plan, cases[i][0], (int) strlen(cases[i][0]), append, out);
		assert_string_equal(out, cases[i][1]);
	}
}

static void
paths_are_bounded(void **state)
{
	MrJsonPlan *plan = plan_of_some();
	char document[1000];
	char key[500];
	char out[1000] = "";

	(void) state;
	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	snprintf(document, sizeof(document), "{\"%s\":1,\"z\":2}", key);
	mr_json_plan_unread(plan, document, (int) strlen(document), append, out);
	assert_string_equal(out, "z:4 ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left),
		cmocka_unit_test(paths_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
