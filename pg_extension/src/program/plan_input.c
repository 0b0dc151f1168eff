/*
 * plan_input.c: see plan_input.h. Runs in workers, and in the sessions of dry_run() and explain().
 *
 * The scan's node stays as the executor made it; the function that gives its rows is another. It finds its input in a list
 * of the runs under way, as a user's function may run another plan inside of one; an entry is in the memory of its run and
 * leaves the list when that is freed, errors included.
 */
#include "program/plan_input.h"

#include "executor/executor.h"
#include "utils/memutils.h"

typedef struct Attached
{
	ScanState *scan;
	const MrPlanInput *input;
	struct Attached *next;
	MemoryContextCallback callback;
} Attached;

static Attached *attached = NULL; /* the innermost run first */

static void
detach(void *arg)
{
	Attached **link = &attached;

	while (*link != NULL && *link != arg)
		link = &(*link)->next;
	if (*link != NULL)
		*link = (*link)->next;
}

/*
 * Whether the plan reads the scan from its beginning to its end and never again: the top node runs once, and so does what it
 * reads as its outer side. Inner sides and subqueries may run again.
 */
static bool
reads_once(PlanState *top, NamedTuplestoreScanState *scan)
{
	for (PlanState *state = top; state != NULL; state = outerPlanState(state))
		if (state == (PlanState *) scan)
			return true;
	return false;
}

/* The slot is one for minimal tuples, which as any slot may hold values instead. */
static TupleTableSlot *
next_row(ScanState *scan)
{
	TupleTableSlot *slot = scan->ss_ScanTupleSlot;
	const Attached *entry = attached;

	while (entry->scan != scan)
		entry = entry->next;
	ExecClearTuple(slot);
	if (entry->input->next(entry->input->arg, slot->tts_values, slot->tts_isnull))
		ExecStoreVirtualTuple(slot);
	return slot;
}

static bool
recheck_row(ScanState *scan, TupleTableSlot *slot)
{
	return true;
}

/* In place of the node's own function, which reads a tuplestore. */
static TupleTableSlot *
scan_input(PlanState *state)
{
	return ExecScan((ScanState *) state, next_row, recheck_row);
}

static void
fill_store(const MrPlanInput *input, TupleDesc desc, Tuplestorestate *store)
{
	Datum values[MaxTupleAttributeNumber];
	bool isnull[MaxTupleAttributeNumber];

	while (input->next(input->arg, values, isnull))
		tuplestore_putvalues(store, desc, values, isnull);
}

void
mr_plan_input_attach(const MrPlanInput *input, QueryDesc *query, NamedTuplestoreScanState *scan,
					 TupleDesc desc, Tuplestorestate *store)
{
	Attached *entry;

	if (scan == NULL || !reads_once(query->planstate, scan))
	{
		fill_store(input, desc, store);
		return;
	}
	entry = MemoryContextAllocZero(query->estate->es_query_cxt, sizeof(Attached));
	entry->scan = &scan->ss;
	entry->input = input;
	entry->next = attached;
	entry->callback.func = detach;
	entry->callback.arg = entry;
	attached = entry;
	MemoryContextRegisterResetCallback(query->estate->es_query_cxt, &entry->callback);
	ExecSetExecProcNode(&scan->ss.ps, scan_input);
}
