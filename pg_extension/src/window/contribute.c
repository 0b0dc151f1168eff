/*
 * contribute.c: see contribute.h. Runs in workers and, rolled back, in the sessions of dry_run().
 */
#include "window/contribute.h"

#include "access/table.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "server/catalog.h"
#include "server/compat.h"
#include "server/locks.h"
#include "pipeline/window_definition.h"
#include "window/append.h"
#include "window/changed.h"

#define WRITTEN_RELATION "written"
#define WRITTEN_PATH     "pg_catalog, pg_temp" /* of _window_parts(), which wrote the SQL */

typedef struct Window
{
	const MrWindowDefinition *definition;
	MrPlan *plan;
	MrPlan *old_plan;  /* of rows that others take the place of; NULL: they are not asked for */
	MrEventTime *time; /* of this one, or of one before it */
	bool owns_time;
} Window;

struct MrWindows
{
	MrProgram *program;
	Tuplestorestate *store;
	int nrows;
	MrChanged *changed; /* NULL: no window asks for old rows */
	Tuplestorestate *old_store;
	int nold;
	int ncolumns; /* of the relation, without the number */
	int *attnums; /* of each, in the target */
	bool *used;   /* by a window; the others are put as NULL */
	Datum *values;
	bool *nulls;
	int nwindows;
	Window *windows;
	MrPlan *at_work;
	int64 appended;
};

static void
map_columns(MrWindows *windows)
{
	MrProgram *program = windows->program;
	Relation target = mr_target_open(program->definition, AccessShareLock);
	TupleDesc desc = RelationGetDescr(target);
	int n = 0;

	windows->ncolumns = program->stored->natts;
	windows->attnums = palloc0(windows->ncolumns * sizeof(int));
	windows->used = palloc0(windows->ncolumns * sizeof(bool));
	windows->values = palloc0((windows->ncolumns + 1) * sizeof(Datum));
	windows->nulls = palloc0((windows->ncolumns + 1) * sizeof(bool));
	for (int i = 0; i < desc->natts && n < windows->ncolumns; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			windows->attnums[n++] = i + 1;
	table_close(target, NoLock);
}

static bool
note_used(Node *node, void *arg)
{
	MrWindows *windows = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		ListCell *cell;

		/* columns of the relation itself, not of a subquery over it */
		foreach (cell, ((Query *) node)->rtable)
			if (lfirst_node(RangeTblEntry, cell)->rtekind == RTE_NAMEDTUPLESTORE)
			{
				Bitmapset *columns = NULL;
				int column = -1;

				pull_varattnos((Node *) ((Query *) node)->targetList,
							   foreach_current_index(cell) + 1, &columns);
				pull_varattnos((Node *) ((Query *) node)->jointree, foreach_current_index(cell) + 1,
							   &columns);
				pull_varattnos((Node *) mr_group_expressions((Query *) node),
							   foreach_current_index(cell) + 1, &columns);
				while ((column = bms_next_member(columns, column)) >= 0)
					if (column + FirstLowInvalidHeapAttributeNumber > 0)
						windows->used[column + FirstLowInvalidHeapAttributeNumber - 1] = true;
			}
		return query_tree_walker((Query *) node, note_used, arg, 0);
	}
	return expression_tree_walker(node, note_used, arg);
}

static MrPlan *
prepare_plan(MrWindows *windows, const char *selects, const char *grouped)
{
	MrProgram *program = windows->program;
	MrPlan *plan = mr_plan_create(psprintf("%s FROM " WRITTEN_RELATION " %s", selects, grouped),
								  WRITTEN_RELATION, program->stored, program->stored_full,
								  program->definition->target, NULL, NULL);

	mr_plan_set_path(plan, WRITTEN_PATH);
	(void) note_used((Node *) mr_plan_analyze(plan), windows);
	return plan;
}

static void
prepare_window(MrWindows *windows, Window *window, const MrWindowDefinition *definition)
{
	MrProgram *program = windows->program;

	window->definition = definition;
	window->plan = prepare_plan(windows, definition->selects, definition->grouped);
	if (definition->old_selects != NULL && program->definition->on_conflict == MR_CONFLICT_UPDATE)
	{
		window->old_plan = prepare_plan(windows, definition->old_selects, definition->grouped);
		if (windows->changed == NULL)
			windows->changed = mr_changed_create(program);
	}
	for (Window *other = windows->windows; other < window; other++)
		if (mr_event_time_serves(other->time, definition))
			window->time = other->time;
	if (window->time != NULL)
		return;
	window->owns_time = true;
	window->time = mr_event_time_create(program, WRITTEN_RELATION, WRITTEN_PATH, definition);
	(void) note_used((Node *) mr_plan_analyze(window->time->plan), windows);
}

/* Lives as long as the program. */
static MrWindows *
prepare(MrProgram *program)
{
	MemoryContext old = MemoryContextSwitchTo(program->context);
	MrWindows *windows = palloc0(sizeof(MrWindows));
	ListCell *cell;

	windows->program = program;
	map_columns(windows);
	windows->windows = palloc0(list_length(program->definition->windows) * sizeof(Window));
	foreach (cell, program->definition->windows)
		prepare_window(windows, &windows->windows[windows->nwindows++], lfirst(cell));
	MemoryContextSwitchTo(old);
	return windows;
}

MrWindows *
mr_windows_begin(MrProgram *program)
{
	MrWindows *windows = program->windows;

	if (program->stored == NULL)
		return NULL;
	if (windows == NULL)
		windows = program->windows = prepare(program);
	/* the last ones may have gone with an error */
	windows->store = tuplestore_begin_heap(false, false, work_mem);
	windows->old_store =
		windows->changed != NULL ? tuplestore_begin_heap(false, false, work_mem) : NULL;
	mr_windows_clear(windows);
	return windows;
}

void
mr_windows_clear(MrWindows *windows)
{
	tuplestore_clear(windows->store);
	if (windows->old_store != NULL)
		tuplestore_clear(windows->old_store);
	windows->nrows = windows->nold = 0;
	windows->at_work = NULL;
}

static void
put(MrWindows *windows, Tuplestorestate *store, const Datum *values, const bool *nulls, bool all,
	int number)
{
	int n = windows->ncolumns;

	for (int i = 0; i < n; i++)
	{
		int from = all ? windows->attnums[i] - 1 : i;

		windows->nulls[i] = !windows->used[i] || nulls[from];
		windows->values[i] = values[from];
	}
	windows->values[n] = Int32GetDatum(number);
	windows->nulls[n] = false;
	tuplestore_putvalues(store, windows->program->stored_full, windows->values, windows->nulls);
}

void
mr_windows_put(MrWindows *windows, const Datum *values, const bool *nulls, bool all, int number)
{
	put(windows, windows->store, values, nulls, all, number);
	windows->nrows++;
}

bool
mr_windows_follow_changes(const MrWindows *windows)
{
	return windows->changed != NULL;
}

static void
put_old(void *arg, int number, const Datum *values, const bool *nulls)
{
	MrWindows *windows = arg;

	put(windows, windows->old_store, values, nulls, false, number);
	windows->nold++;
}

static void
put_new(void *arg, int number, const Datum *values, const bool *nulls)
{
	mr_windows_put(arg, values, nulls, false, number);
}

void
mr_windows_put_changed(MrWindows *windows, const MrBatch *batch, Tuplestorestate *rows, int nrows,
					   CommandId before, bool stored)
{
	mr_changed_read(windows->changed, batch, rows, nrows, before, put_old, windows);
	if (stored)
		mr_changed_read(windows->changed, batch, rows, nrows, InvalidCommandId, put_new, windows);
}

void
mr_windows_contribute(MrWindows *windows, const MrBatch *batch)
{
	int32 stream =
		mr_lock_stream(windows->program->definition->pipeline_id, MR_STREAM_WINDOWS, MR_STREAMS);
	int64 seq = nextval_internal(mr_catalog_oid("window_seq"), false);

	for (int i = 0; i < windows->nwindows; i++)
	{
		Window *window = &windows->windows[i];
		MrAppend append;

		if (window->owns_time)
		{
			windows->at_work = window->time->plan;
			mr_event_time_read(window->time, windows->store, windows->nrows, batch);
		}
		windows->at_work = window->plan;
		mr_append_begin_partial(&append, window->definition->id, stream, seq, window->time);
		(void) mr_plan_run(window->plan, windows->store, windows->nrows, &append.pub);
		if (window->old_plan != NULL && windows->nold > 0)
		{
			windows->at_work = window->old_plan;
			(void) mr_plan_run(window->old_plan, windows->old_store, windows->nold, &append.pub);
		}
		mr_append_end(&append);
		windows->appended += Max(append.rows, 1); /* event times are to be folded, too */
	}
	windows->at_work = NULL;
}

int
mr_windows_failed_at(MrWindows *windows)
{
	return windows->at_work != NULL ? mr_plan_failed_at(windows->at_work) : -1;
}

int64
mr_windows_take_appended(MrProgram *program)
{
	int64 appended = program->windows != NULL ? program->windows->appended : 0;

	if (appended > 0)
		program->windows->appended = 0;
	return appended;
}

void
mr_windows_end(MrWindows *windows)
{
	tuplestore_end(windows->store);
	if (windows->old_store != NULL)
		tuplestore_end(windows->old_store);
	windows->store = windows->old_store = NULL;
}
