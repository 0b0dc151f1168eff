/* Steps of a key that are taken out make no difference: against a row that sees all of them, one after another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "run/key_order.h"

#define MAX_STEPS 8
#define NO_ROW    (-2)
#define NO_VALUE  (-1)

typedef struct Row
{
	int value; /* of newer_by; NO_VALUE null, NO_ROW there is none */
	int by;    /* the step that wrote it, -1: it was there */
} Row;

/* As the statements of a round do it. */
static Row
apply(Row row, const MrKeyStep *step, int number, bool newer)
{
	int value = step->ranked ? step->rank : NO_VALUE;
	bool wins = !newer || row.value == NO_ROW || row.value == NO_VALUE ||
				(value == NO_VALUE ? step->deletes : value >= row.value);

	if (!wins)
		return row;
	return step->deletes ? (Row){NO_ROW, -1} : (Row){value, number};
}

static void
check(const MrKeyStep *steps, int n, bool newer)
{
	int superseded_by[MAX_STEPS];
	int stay[MAX_STEPS];
	int nstay = mr_key_order_reduce(steps, n, newer, superseded_by, stay);

	for (int start = NO_ROW; start <= 4; start++)
	{
		Row all = {start, -1};
		Row some = all;

		for (int i = 0; i < n; i++)
			all = apply(all, &steps[i], i, newer);
		for (int i = 0; i < nstay; i++)
			some = apply(some, &steps[stay[i]], stay[i], newer);
		assert_int_equal(all.value, some.value);
		assert_int_equal(all.by, some.by);
	}
	for (int i = 0, k = 0; i < n; i++)
	{
		bool stays = k < nstay && stay[k] == i;

		assert_int_equal(stays, superseded_by[i] < 0);
		k += stays ? 1 : 0;
	}
}

static void
test_random_steps(void **state)
{
	(void) state;
	srand(1);
	for (int round = 0; round < 200000; round++)
	{
		MrKeyStep steps[MAX_STEPS];
		int n = rand() % (MAX_STEPS + 1);

		for (int i = 0; i < n; i++)
			steps[i] = (MrKeyStep){rand() % 2 == 0, rand() % 4 != 0, rand() % 5};
		check(steps, n, true);
		check(steps, n, false);
	}
}

/* What costs most stays small: without newer_by, or when values grow, a delete and an upsert are enough. */
static void
test_growing_values(void **state)
{
	MrKeyStep steps[MAX_STEPS];
	int superseded_by[MAX_STEPS];
	int stay[MAX_STEPS];

	(void) state;
	for (int i = 0; i < MAX_STEPS; i++)
		steps[i] = (MrKeyStep){i % 2 == 0, true, i};
	assert_int_equal(mr_key_order_reduce(steps, MAX_STEPS, true, superseded_by, stay), 2);
	assert_int_equal(mr_key_order_reduce(steps, MAX_STEPS, false, superseded_by, stay), 2);
	assert_int_equal(stay[0], MAX_STEPS - 2);
	assert_int_equal(superseded_by[1], 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_steps),
		cmocka_unit_test(test_growing_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
