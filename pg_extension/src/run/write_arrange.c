/*
 * write_arrange.c: see write_arrange.h. Runs in workers, in the batch's memory context.
 */
#include "run/write_arrange.h"

#include "executor/executor.h"
#include "utils/tuplesort.h"

#include "run/key_order.h"

typedef struct Keyed
{
	int row;
	bool has_abbreviated;
	Datum abbreviated; /* of the first key, when its type knows how */
	Datum *values;
	bool *isnull;
} Keyed;

typedef struct Sorter
{
	MrProgram *program;
	MrBatch *batch;
	int nkeys; /* that are compared; rows that are equal are in the order of their events */
	bool by_abbreviation; /* of the first key: unsigned integers, ascending */
} Sorter;

/* Documents of a message have its coordinate, and are in the batch in their order; the rows are in that of the plan. */
static int
compare_events(const MrBatch *batch, int a, int b)
{
	int left = batch->rows[a].event;
	int right = batch->rows[b].event;
	int comparison = mr_event_compare(&batch->events[left], &batch->events[right]);

	if (comparison != 0)
		return comparison;
	if (left != right)
		return left < right ? -1 : 1;
	return a < b ? -1 : a > b;
}

/* The first key by its abbreviation; 0: the whole of it must decide. */
static inline int
compare_abbreviated(MrProgram *program, const Keyed *a, const Keyed *b)
{
	SortSupport support = &program->keys[0].support;

	if (!a->has_abbreviated || !b->has_abbreviated)
		return 0;
	return ApplySortComparator(a->abbreviated, false, b->abbreviated, false, support);
}

static int
compare_keys(MrProgram *program, const Keyed *a, const Keyed *b, int nkeys)
{
	for (int i = 0; i < nkeys; i++)
	{
		SortSupport support = &program->keys[i].support;
		int comparison;

		if (support->abbrev_converter != NULL)
		{
			comparison = compare_abbreviated(program, a, b);
			if (comparison == 0)
				comparison = ApplySortAbbrevFullComparator(a->values[i], a->isnull[i], b->values[i],
														   b->isnull[i], support);
		}
		else
			comparison = ApplySortComparator(a->values[i], a->isnull[i], b->values[i], b->isnull[i],
											 support);
		if (comparison != 0)
			return comparison;
	}
	return 0;
}

static int
compare_wholly(const Sorter *sorter, const Keyed *a, const Keyed *b)
{
	int comparison = compare_keys(sorter->program, a, b, sorter->nkeys);

	return comparison != 0 ? comparison : compare_events(sorter->batch, a->row, b->row);
}

/* Most rows differ in the first eight bytes of a random key: these are compared here, without a call. */
static inline int
compare_rows(const Keyed *a, const Keyed *b, const Sorter *sorter)
{
	if (sorter->by_abbreviation && a->has_abbreviated && b->has_abbreviated &&
		a->abbreviated != b->abbreviated)
		return a->abbreviated < b->abbreviated ? -1 : 1;
	return compare_wholly(sorter, a, b);
}

#define ST_SORT             sort_template
#define ST_ELEMENT_TYPE     Keyed
#define ST_COMPARE(a, b, s) compare_rows(a, b, s)
#define ST_COMPARE_ARG_TYPE const Sorter
#define ST_SCOPE            static
#define ST_DEFINE
#include "lib/sort_template.h"

static void
sort_rows(MrProgram *program, MrBatch *batch, int nkeys, Keyed *keyed, int n)
{
	Sorter sorter = {.program = program, .batch = batch, .nkeys = nkeys};
	SortSupport support = nkeys > 0 ? &program->keys[0].support : NULL;

	sorter.by_abbreviation = support != NULL && support->abbrev_converter != NULL &&
							 support->comparator == ssup_datum_unsigned_cmp &&
							 !support->ssup_reverse;
	sort_template(keyed, n, &sorter);
}

/* The live rows with their keys; values point into the rows' tuples. */
static Keyed *
extract_keys(MrProgram *program, MrBatch *batch, int *n)
{
	Keyed *keyed = palloc(Max(batch->nrows, 1) * sizeof(Keyed));
	Datum *values = palloc(Max(batch->nrows * program->nkeys, 1) * sizeof(Datum));
	bool *isnull = palloc(Max(batch->nrows * program->nkeys, 1) * sizeof(bool));
	TupleTableSlot *slot = MakeSingleTupleTableSlot(program->row_full, &TTSOpsMinimalTuple);

	*n = 0;
	for (int i = 0; i < batch->nrows; i++)
	{
		Keyed *entry = &keyed[*n];

		if (batch->rows[i].dropped)
			continue;
		entry->row = i;
		entry->values = values + *n * program->nkeys;
		entry->isnull = isnull + *n * program->nkeys;
		ExecStoreMinimalTuple(batch->rows[i].tuple, slot, false);
		for (int k = 0; k < program->nkeys; k++)
			entry->values[k] = slot_getattr(slot, program->keys[k].column + 1, &entry->isnull[k]);
		entry->has_abbreviated = program->nkeys > 0 &&
								 program->keys[0].support.abbrev_converter != NULL &&
								 !entry->isnull[0];
		if (entry->has_abbreviated)
			entry->abbreviated =
				program->keys[0].support.abbrev_converter(entry->values[0],
														  &program->keys[0].support);
		(*n)++;
	}
	ExecDropSingleTupleTableSlot(slot);
	return keyed;
}

static bool
has_null(const Keyed *keyed, int n)
{
	for (int i = 0; i < n; i++)
		if (keyed->isnull[i])
			return true;
	return false;
}

/* For an upsert: of rows with one key the last stays (the newest, else the one that came last). */
static int
drop_superseded(MrProgram *program, MrBatch *batch, Keyed *keyed, int n)
{
	int kept = 0;
	int last;

	for (int i = 0; i < n; i = last + 1)
	{
		for (last = i;
			 last + 1 < n && !has_null(&keyed[last], program->nconflict) &&
			 compare_keys(program, &keyed[last], &keyed[last + 1], program->nconflict) == 0;)
			last++;
		for (int k = i; k < last; k++)
		{
			batch->rows[keyed[k].row].dropped = true;
			batch->rows[keyed[k].row].superseded_by = keyed[last].row;
		}
		keyed[kept++] = keyed[last];
	}
	return kept;
}

static int
compare_newer(const void *a, const void *b, void *arg)
{
	MrProgram *program = arg;
	const Keyed *left = *(const Keyed *const *) a;
	const Keyed *right = *(const Keyed *const *) b;
	int n = program->nconflict; /* behind the conflict key */

	return ApplySortComparator(left->values[n], left->isnull[n], right->values[n], right->isnull[n],
							   &program->keys[n].support);
}

/* What the rows of one key do, in their order. */
static MrKeyStep *
describe_steps(MrProgram *program, MrBatch *batch, Keyed *keyed, int n)
{
	MrKeyStep *steps = palloc0(n * sizeof(MrKeyStep));
	Keyed **by_newer;
	int rank = 0;

	for (int i = 0; i < n; i++)
		steps[i].deletes = batch->rows[keyed[i].row].deletes;
	if (program->newer_column < 0)
		return steps;
	by_newer = palloc(n * sizeof(Keyed *));
	for (int i = 0; i < n; i++)
		by_newer[i] = &keyed[i];
	qsort_arg(by_newer, n, sizeof(Keyed *), compare_newer, program);
	for (int i = 0; i < n; i++)
	{
		MrKeyStep *step = &steps[by_newer[i] - keyed];

		if (i > 0 && compare_newer(&by_newer[i - 1], &by_newer[i], program) != 0)
			rank++;
		step->rank = rank;
		step->ranked = !by_newer[i]->isnull[program->nconflict];
	}
	return steps;
}

/* Of the rows of one key, in their order: keeps those that make a difference at the front. Returns how many. */
static int
reduce(MrProgram *program, MrBatch *batch, Keyed *keyed, int n)
{
	MrKeyStep *steps = describe_steps(program, batch, keyed, n);
	int *superseded_by = palloc(n * sizeof(int));
	int *stay = palloc(n * sizeof(int));
	int kept = mr_key_order_reduce(steps, n, program->newer_column >= 0, superseded_by, stay);

	for (int i = 0; i < n; i++)
	{
		if (superseded_by[i] < 0)
			continue;
		batch->rows[keyed[i].row].dropped = true;
		batch->rows[keyed[i].row].superseded_by = keyed[superseded_by[i]].row;
	}
	for (int i = 0; i < kept; i++)
		keyed[i] = keyed[stay[i]];
	pfree(steps);
	pfree(superseded_by);
	pfree(stay);
	return kept;
}

/* Whether one of the rows keeps values of the one before it. */
static bool
some_lack(const MrBatch *batch, const Keyed *keyed, int n)
{
	for (int i = 0; i < n; i++)
		if (batch->events[batch->rows[keyed[i].row].event].left_out != NULL)
			return true;
	return false;
}

/*
 * Rows in the order of their keys, those of a key in that of their events. key_of: receives a number of its own for each key,
 * by the number of the row.
 */
static int
order_keys(MrProgram *program, MrBatch *batch, Keyed *keyed, int n, int *key_of)
{
	int kept = 0;
	int last;
	int key = 0;

	for (int i = 0; i < n; i = last + 1, key++)
	{
		int nkey;

		for (last = i; last + 1 < n && compare_keys(program, &keyed[last], &keyed[last + 1],
													program->nconflict) == 0;)
			last++;
		nkey = last - i + 1;
		if (nkey > 1 && program->definition->merge == NULL &&
			!has_null(&keyed[i], program->nconflict) && !some_lack(batch, &keyed[i], nkey))
			nkey = reduce(program, batch, &keyed[i], nkey);
		for (int k = 0; k < nkey; k++)
		{
			keyed[kept] = keyed[i + k];
			key_of[keyed[kept++].row] = key;
		}
	}
	return kept;
}

static int
compare_numbers(const void *a, const void *b, void *arg)
{
	return compare_events(arg, *(const int *) a, *(const int *) b);
}

/* nrows: of the batch; there are no more keys than that. */
static void
link_keys(MrArrangement *result, int n, const int *key_of, int nrows)
{
	int *seen = palloc(Max(nrows, 1) * sizeof(int));
	int *length = palloc0(Max(nrows, 1) * sizeof(int));

	result->later = palloc(Max(n, 1) * sizeof(int));
	result->place_of = palloc(Max(nrows, 1) * sizeof(int));
	result->longest = 0;
	memset(seen, -1, nrows * sizeof(int));
	for (int i = n - 1; i >= 0; i--)
	{
		int key = key_of[result->rows[i]];

		result->later[i] = seen[key];
		seen[key] = i;
		result->place_of[result->rows[i]] = i;
		length[key]++;
		result->longest = Max(result->longest, length[key]);
	}
	pfree(seen);
	pfree(length);
}

/* Rows of one event next to each other, events in the order of their first key. */
static int
gather_events(MrBatch *batch, const Keyed *keyed, int nkeyed, int *rows)
{
	int *first = palloc(Max(batch->nevents, 1) * sizeof(int));
	int *next = palloc(Max(batch->nrows, 1) * sizeof(int));
	int n = 0;

	memset(first, -1, batch->nevents * sizeof(int));
	for (int i = batch->nrows - 1; i >= 0; i--)
	{
		if (batch->rows[i].dropped)
			continue;
		next[i] = first[batch->rows[i].event];
		first[batch->rows[i].event] = i;
	}
	for (int i = 0; i < nkeyed; i++)
	{
		int *head = &first[batch->rows[keyed[i].row].event];

		for (; *head >= 0; *head = next[*head])
			rows[n++] = *head;
	}
	return n;
}

static void
group_by_event(const MrBatch *batch, MrArrangement *result, int n)
{
	result->groups = palloc((n + 1) * sizeof(int));
	result->ngroups = 0;
	for (int i = 0; i < n; i++)
		if (i == 0 || batch->rows[result->rows[i]].event != batch->rows[result->rows[i - 1]].event)
			result->groups[result->ngroups++] = i;
	result->groups[result->ngroups] = n;
}

static bool
has_several(const MrBatch *batch, const Keyed *keyed, int n)
{
	for (int i = 0; i < n; i++)
		if (batch->events[batch->rows[keyed[i].row].event].rows > 1)
			return true;
	return false;
}

static void
arrange_in_order(MrProgram *program, MrBatch *batch, Keyed *keyed, int n, MrArrangement *result)
{
	int *key_of = palloc(Max(batch->nrows, 1) * sizeof(int));

	sort_rows(program, batch, program->nconflict, keyed, n);
	n = order_keys(program, batch, keyed, n, key_of);
	result->rows = palloc(Max(n, 1) * sizeof(int));
	for (int i = 0; i < n; i++)
		result->rows[i] = keyed[i].row;
	if (has_several(batch, keyed, n))
		qsort_arg(result->rows, n, sizeof(int), compare_numbers, batch);
	link_keys(result, n, key_of, batch->nrows);
	group_by_event(batch, result, n);
}

void
mr_write_arrange(MrProgram *program, MrBatch *batch, MrArrangement *result)
{
	int n;
	Keyed *keyed = extract_keys(program, batch, &n);

	if (program->in_order)
	{
		arrange_in_order(program, batch, keyed, n, result);
		return;
	}
	/* without keys the plan's order is kept, which need not be that of the events */
	if (program->nkeys > 0 || program->definition->order.by_key)
		sort_rows(program, batch, program->nkeys, keyed, n);
	if (program->definition->on_conflict == MR_CONFLICT_UPDATE)
		n = drop_superseded(program, batch, keyed, n);
	result->rows = palloc(Max(n, 1) * sizeof(int));
	result->later = NULL;
	if (has_several(batch, keyed, n))
		n = gather_events(batch, keyed, n, result->rows);
	else
		for (int i = 0; i < n; i++)
			result->rows[i] = keyed[i].row;
	group_by_event(batch, result, n);
}
