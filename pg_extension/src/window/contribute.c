/*
 * contribute.c: see contribute.h. Runs in workers and, rolled back, in the sessions of dry_run().
 */
#include "window/contribute.h"

#include "access/table.h"
#include "commands/sequence.h"
#include "executor/nodeHash.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "server/catalog.h"
#include "server/compat.h"
#include "server/locks.h"
#include "pipeline/window_definition.h"
#include "program/plan_input.h"
#include "window/append.h"
#include "window/changed.h"
#include "window/one_pass.h"
#include "window/row_store.h"

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
	MrRowStore *rows;
	MrChanged *changed;   /* NULL: no window asks for old rows */
	MrRowStore *old_rows; /* NULL as well */
	int *places;          /* of the columns of the relation among those of the target, from 0 */
	int nwindows;
	Window *windows;
	MrPlan *at_work; /* NULL: rows are read in one pass */
	int64 appended;
};

static void
map_columns(MrWindows *windows)
{
	MrProgram *program = windows->program;
	Relation target = mr_target_open(program->definition, AccessShareLock);
	TupleDesc desc = RelationGetDescr(target);
	int n = 0;

	windows->places = palloc0(program->stored->natts * sizeof(int));
	for (int i = 0; i < desc->natts && n < program->stored->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			windows->places[n++] = i;
	table_close(target, NoLock);
}

static void
use_column(MrWindows *windows, int column)
{
	mr_row_store_use(windows->rows, column);
	mr_row_store_use(windows->old_rows, column);
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
						use_column(windows, column + FirstLowInvalidHeapAttributeNumber - 1);
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
	windows->rows = mr_row_store_create(program->stored_full);
	windows->old_rows = mr_row_store_create(program->stored_full);
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
	mr_row_store_begin(windows->rows);
	if (windows->changed != NULL)
		mr_row_store_begin(windows->old_rows);
	mr_windows_clear(windows);
	return windows;
}

void
mr_windows_clear(MrWindows *windows)
{
	mr_row_store_clear(windows->rows);
	if (windows->changed != NULL)
		mr_row_store_clear(windows->old_rows);
	windows->at_work = NULL;
}

void
mr_windows_put(MrWindows *windows, const Datum *values, const bool *nulls, bool all, int number)
{
	mr_row_store_put(windows->rows, values, nulls, all ? windows->places : NULL, number);
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

	mr_row_store_put(windows->old_rows, values, nulls, NULL, number);
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

static bool
next_row(void *rows, Datum *values, bool *nulls)
{
	const TupleDesc desc = mr_row_store_columns(rows);

	memset(nulls, true, desc->natts * sizeof(bool));
	return mr_row_store_next(rows, values, nulls);
}

/* By the executor. */
static void
run_plan(MrWindows *windows, MrPlan *plan, MrRowStore *rows, DestReceiver *dest)
{
	Tuplestorestate *again = tuplestore_begin_heap(false, false, work_mem);
	MrPlanInput input = {.next = next_row, .arg = rows};

	windows->at_work = plan;
	mr_row_store_rewind(rows);
	(void) mr_plan_run_input(plan, &input, again, mr_row_store_rows(rows), dest);
	windows->at_work = NULL;
	tuplestore_end(again);
}

/* What can be had in one pass over the rows is; the executor runs the rest. */
static void
run_plans(MrWindows *windows, MrAppend *appends)
{
	/* no more than a hash aggregate may take */
	MrOnePass *pass = mr_one_pass_create(windows->program->stored_full, get_hash_memory_limit());

	for (int i = 0; i < windows->nwindows; i++)
	{
		Window *window = &windows->windows[i];

		if (window->owns_time &&
			!mr_one_pass_add_time(pass, mr_plan_statement(window->time->plan), window->time))
			run_plan(windows, window->time->plan, windows->rows, &window->time->pub);
		if (!mr_one_pass_add(pass, mr_plan_statement(window->plan), &appends[i].pub))
			run_plan(windows, window->plan, windows->rows, &appends[i].pub);
		if (window->old_plan != NULL && mr_row_store_rows(windows->old_rows) > 0)
			run_plan(windows, window->old_plan, windows->old_rows, &appends[i].pub);
	}
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	mr_one_pass_run(pass, windows->rows);
	PopActiveSnapshot();
	mr_one_pass_free(pass);
}

void
mr_windows_contribute(MrWindows *windows, const MrBatch *batch)
{
	int32 stream =
		mr_lock_stream(windows->program->definition->pipeline_id, MR_STREAM_WINDOWS, MR_STREAMS);
	int64 seq = nextval_internal(mr_catalog_oid("window_seq"), false);
	MrAppend *appends = palloc(windows->nwindows * sizeof(MrAppend));

	for (int i = 0; i < windows->nwindows; i++)
	{
		Window *window = &windows->windows[i];

		if (window->owns_time)
			mr_event_time_begin(window->time, batch, mr_row_store_rows(windows->rows));
		mr_append_begin_partial(&appends[i], window->definition->id, stream, seq, window->time);
	}
	run_plans(windows, appends);
	for (int i = 0; i < windows->nwindows; i++)
		if (windows->windows[i].owns_time)
			mr_event_time_end(windows->windows[i].time);
	for (int i = 0; i < windows->nwindows; i++)
	{
		mr_append_end(&appends[i]);
		windows->appended += Max(appends[i].rows, 1); /* event times are to be folded, too */
	}
	pfree(appends);
}

int
mr_windows_failed_at(MrWindows *windows)
{
	return windows->at_work != NULL ? mr_plan_failed_at(windows->at_work) : mr_plan_row_at_work;
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
	mr_row_store_end(windows->rows);
	if (windows->changed != NULL)
		mr_row_store_end(windows->old_rows);
}
