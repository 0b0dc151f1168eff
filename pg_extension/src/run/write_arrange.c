/*
 * write_arrange.c: see write_arrange.h. Runs in workers, in the batch's memory context.
 */
#include "run/write_arrange.h"

#include "executor/executor.h"

typedef struct Keyed
{
	int row;
	Datum abbreviated; /* of the first key, when its type knows how */
	Datum *values;
	bool *isnull;
} Keyed;

typedef struct Sorter
{
	MrProgram *program;
	MrBatch *batch;
} Sorter;

static int
compare_events(const MrBatch *batch, int a, int b)
{
	int comparison = mr_event_compare(&batch->events[batch->rows[a].event],
									  &batch->events[batch->rows[b].event]);

	if (comparison != 0)
		return comparison;
	return a < b ? -1 : a > b;
}

/* The first key by its abbreviation; 0: the whole of it must decide. */
static inline int
compare_abbreviated(MrProgram *program, const Keyed *a, const Keyed *b)
{
	SortSupport support = &program->keys[0].support;

	if (support->abbrev_converter == NULL || a->isnull[0] || b->isnull[0])
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
compare_rows(const void *a, const void *b, void *arg)
{
	Sorter *sorter = arg;
	int comparison = compare_keys(sorter->program, a, b, sorter->program->nkeys);

	return comparison != 0
			   ? comparison
			   : compare_events(sorter->batch, ((const Keyed *) a)->row, ((const Keyed *) b)->row);
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
		if (program->nkeys > 0 && program->keys[0].support.abbrev_converter != NULL &&
			!entry->isnull[0])
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

void
mr_write_arrange(MrProgram *program, MrBatch *batch, MrArrangement *result)
{
	Sorter sorter = {program, batch};
	int n;
	Keyed *keyed = extract_keys(program, batch, &n);
	bool several = false;

	/* without keys the plan's order is kept, which need not be that of the events */
	if (program->nkeys > 0 || program->definition->order.by_key)
		qsort_arg(keyed, n, sizeof(Keyed), compare_rows, &sorter);
	if (program->definition->on_conflict == MR_CONFLICT_UPDATE)
		n = drop_superseded(program, batch, keyed, n);
	result->rows = palloc(Max(n, 1) * sizeof(int));
	result->groups = palloc((n + 1) * sizeof(int));
	result->ngroups = 0;
	for (int i = 0; i < n; i++)
		several = several || batch->events[batch->rows[keyed[i].row].event].rows > 1;
	if (several)
		n = gather_events(batch, keyed, n, result->rows);
	else
		for (int i = 0; i < n; i++)
			result->rows[i] = keyed[i].row;
	for (int i = 0; i < n; i++)
		if (i == 0 || batch->rows[result->rows[i]].event != batch->rows[result->rows[i - 1]].event)
			result->groups[result->ngroups++] = i;
	result->groups[result->ngroups] = n;
}
