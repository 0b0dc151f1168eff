/*
 * fold.c: see fold.h. Runs in workers, between batches: a worker that is at it takes no batch, and so staging fills and
 * Kafka waits when windows cannot keep up. What is done is SQL of our own, in 68_window_fold.sql.
 */
#include "window/fold.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "server/catalog.h"
#include "server/clock.h"
#include "server/locks.h"
#include "server/xact.h"
#include "server/guc.h"
#include "pipeline/window_definition.h"

#define FOLD_ROWS        50000            /* of a worker, after which they are folded */
#define FOLD_ROWS_MAX    200000           /* after which it waits for another worker that folds */
#define FOLD_INTERVAL_US INT64_C(5000000) /* after which fewer are folded, too */

typedef struct Folding
{
	int32 pipeline_id;
	int32 window_id; /* the one at work */
	bool wait;
	bool merge;
	bool passed_over; /* some window: another process has it */
	List *ids;        /* of the pipeline's windows */
} Folding;

/* The transaction is begun; drop_window() waits for its end. False: it has ended, the extension is gone. */
static bool
begin(const Folding *fold)
{
	if (!mr_xact_begin("folding windows"))
		return false;
	mr_lock_pipeline(fold->pipeline_id, ShareLock);
	PushActiveSnapshot(GetTransactionSnapshot());
	return true;
}

static void
end(void)
{
	PopActiveSnapshot();
	mr_xact_commit();
}

static void
list_windows(void *arg)
{
	Folding *fold = arg;
	List *windows;
	ListCell *cell;
	MemoryContext old;

	if (!begin(fold))
		return;
	windows = mr_window_definitions(fold->pipeline_id);
	old = MemoryContextSwitchTo(TopMemoryContext);
	foreach (cell, windows)
		fold->ids = lappend_int(fold->ids, ((MrWindowDefinition *) lfirst(cell))->id);
	MemoryContextSwitchTo(old);
	end();
}

static void
fold_one(void *arg)
{
	static Oid types[] = {INT4OID, BOOLOID, BOOLOID};
	Folding *fold = arg;
	Datum values[] = {Int32GetDatum(fold->window_id), BoolGetDatum(fold->merge),
					  BoolGetDatum(fold->wait)};
	Oid user;
	int context;
	int nest;

	if (!begin(fold))
		return;
	mr_become_extension_owner(&user, &context);
	nest = NewGUCNestLevel();
	mr_guc_set("search_path", "pg_catalog, pg_temp");
	SPI_connect();
	if (SPI_execute_with_args("SELECT millrace._fold_window($1, $2, $3)", 3, types, values, NULL,
							  false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not fold window %d", fold->window_id);
	if (!DatumGetBool(
			SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &(bool){false})))
		fold->passed_over = true;
	SPI_finish();
	AtEOXact_GUC(false, nest);
	SetUserIdAndSecContext(user, context);
	end();
}

/* False: another process is folding some of them, and `wait` is false. */
static bool
fold_all(int32 pipeline_id, bool wait, bool *windows)
{
	Folding fold = {.pipeline_id = pipeline_id, .wait = wait};
	ListCell *cell;

	if (!mr_xact_guard(list_windows, &fold))
		return true;
	*windows = fold.ids != NIL;
	foreach (cell, fold.ids)
	{
		fold.window_id = lfirst_int(cell);
		fold.merge = true;
		if (!mr_xact_guard(fold_one, &fold))
		{
			fold.merge = false;
			(void) mr_xact_guard(fold_one, &fold);
		}
	}
	list_free(fold.ids);
	return !fold.passed_over;
}

void
mr_fold_if_due(MrFold *fold, int32 pipeline_id)
{
	/* what a worker before this one has left is folded, and closed, without a batch */
	if ((fold->known && !fold->windows) ||
		(fold->unfolded < FOLD_ROWS && mr_clock_us() < fold->fold_at))
		return;
	if (fold_all(pipeline_id, fold->unfolded >= FOLD_ROWS_MAX, &fold->windows))
		fold->unfolded = 0;
	fold->known = true;
	fold->fold_at = mr_clock_us() + FOLD_INTERVAL_US;
}
