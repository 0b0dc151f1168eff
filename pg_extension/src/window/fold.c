/*
 * fold.c: see fold.h. Runs in workers, between batches: a worker that is at it takes no batch, and so staging fills and
 * Kafka waits when windows cannot keep up. What is done is SQL of our own, in 68_window_fold.sql.
 */
#include "window/fold.h"

#include "catalog/pg_type.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "server/clock.h"
#include "server/xact.h"
#include "pipeline/window_definition.h"
#include "window/state_call.h"

#define FOLD_ROWS        50000            /* of a worker, after which they are folded */
#define FOLD_ROWS_MAX    200000           /* after which it takes no batch before they are */
#define FOLD_INTERVAL_US INT64_C(5000000) /* after which fewer are folded, too */
#define BUSY_US          INT64_C(100000) /* after which a window that another process has is tried again */
#define PUBLISH_GROUPS   5000            /* given to the relay in one transaction */
#define REST_US                                                                                    \
	INT64_C(300000000) /* after which they are folded though nothing seems to have changed */

typedef struct Folding
{
	int32 pipeline_id;
	int32 window_id; /* the one at work */
	bool all;        /* and nothing is left for later */
	bool merge;
	bool passed_over;   /* this one: others have it or its target, or some of it is left */
	bool some_passed;   /* over */
	bool failed;        /* some window */
	bool more;          /* of some window is to be published */
	bool not_published; /* some window: that failed */
	List *ids;          /* of the pipeline's windows, or of those that were left */
	List *left;         /* of those that are not folded */
	int64 state;        /* of all of them */
} Folding;

static void
list_windows(void *arg)
{
	Folding *fold = arg;
	List *windows;
	ListCell *cell;
	MemoryContext old;

	if (!mr_state_begin(fold->pipeline_id, true))
		return;
	windows = mr_window_definitions(fold->pipeline_id);
	old = MemoryContextSwitchTo(TopMemoryContext);
	foreach (cell, windows)
		fold->ids = lappend_int(fold->ids, ((MrWindowDefinition *) lfirst(cell))->id);
	MemoryContextSwitchTo(old);
	mr_state_end();
}

/* Verbs of the pipeline wait for its end. */
static Datum
call(const Folding *fold, const char *sql, int nargs, Oid *types, Datum *values)
{
	return mr_state_call(fold->pipeline_id, true, sql, nargs, types, values);
}

static void
fold_one(void *arg)
{
	Folding *fold = arg;
	Oid types[] = {INT4OID, BOOLOID, BOOLOID};
	Datum values[] = {Int32GetDatum(fold->window_id), BoolGetDatum(fold->merge),
					  BoolGetDatum(fold->all)};

	/* without waiting: who waits here holds the pipeline, and verbs would wait with it */
	if (!DatumGetBool(call(fold,
						   "SELECT CASE WHEN NOT millrace._lock_window($1, false) THEN false "
						   "WHEN NOT millrace._lock_target($1, false) THEN false "
						   "ELSE millrace._fold_window($1, $2, $3) END",
						   3, types, values)))
		fold->passed_over = true;
}

static void
publish_one(void *arg)
{
	Folding *fold = arg;
	Oid types[] = {INT4OID, INT4OID};
	Datum values[] = {Int32GetDatum(fold->window_id), Int32GetDatum(PUBLISH_GROUPS)};

	if (DatumGetBool(call(fold, "SELECT millrace._publish_window($1, $2)", 2, types, values)))
		fold->more = true;
}

static void
look_at_state(void *arg)
{
	Folding *fold = arg;
	Datum pipeline = Int32GetDatum(fold->pipeline_id);

	fold->state = DatumGetInt64(
		call(fold, "SELECT millrace._windows_state($1)", 1, &(Oid){INT4OID}, &pipeline));
}

/* Nothing was appended, nor has anything else changed since the windows were folded. */
static bool
is_at_rest(MrFold *fold, int32 pipeline_id)
{
	Folding look = {.pipeline_id = pipeline_id};
	bool same;

	if (fold->unfolded > 0 || fold->again || mr_clock_us() >= fold->fresh_to)
		return false;
	if (!mr_xact_guard(look_at_state, &look))
		return false;
	same = look.state == fold->state;
	fold->state = look.state;
	return same;
}

static void
look_for_unfolded(void *arg)
{
	Folding *fold = arg;
	Datum window = Int32GetDatum(fold->window_id);

	fold->passed_over =
		DatumGetBool(call(fold, "SELECT millrace._has_unfolded($1)", 1, &(Oid){INT4OID}, &window));
}

/* One of them; false: it is not folded. */
static bool
fold_window(Folding *fold)
{
	fold->passed_over = false;
	fold->merge = true;
	if (!mr_state_try(fold->window_id, "fold", fold_one, fold))
	{
		fold->merge = false;
		if (!mr_state_try(fold->window_id, "fold", fold_one, fold))
		{
			fold->failed = true;
			return false;
		}
	}
	fold->some_passed |= fold->passed_over;
	/* who has it may have folded what was there, and then begun again: a rebuild in parts */
	if (fold->passed_over && fold->all)
		(void) mr_xact_guard(look_for_unfolded, fold);
	return !fold->passed_over;
}

/* What of it is not done is in left, some_passed, failed, more and not_published. */
static void
fold_all(Folding *fold)
{
	ListCell *cell;

	foreach (cell, fold->ids)
	{
		fold->window_id = lfirst_int(cell);
		if (!fold_window(fold))
		{
			MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

			fold->left = lappend_int(fold->left, fold->window_id);
			MemoryContextSwitchTo(old);
		}
		/* apart: what fails there is no reason to fold again */
		if (!mr_state_try(fold->window_id, "publish", publish_one, fold))
			fold->not_published = true;
	}
}

/* Those that were left, while all others have little to fold: they are tried at short intervals. */
static void
fold_left(MrFold *fold, int32 pipeline_id)
{
	Folding work = {.pipeline_id = pipeline_id, .all = mr_fold_is_full(fold), .ids = fold->left};

	fold_all(&work);
	if (work.left == NIL)
	{
		fold->unfolded -= fold->kept;
		fold->kept = 0;
	}
	if (work.more)
		fold->fold_at = mr_clock_us();
	fold->not_before = mr_clock_us() + (work.failed ? FOLD_INTERVAL_US : BUSY_US);
	list_free(fold->left);
	fold->left = work.left;
}

static void
fold_windows(MrFold *fold, int32 pipeline_id)
{
	Folding work = {.pipeline_id = pipeline_id, .all = mr_fold_is_full(fold)};

	work.failed = !mr_xact_guard(list_windows, &work);
	fold_all(&work);
	if (work.ids != NIL || !work.failed)
	{
		fold->known = true;
		fold->windows = work.ids != NIL;
	}
	if (work.left == NIL && !work.failed)
		fold->unfolded = 0;
	fold->kept = fold->unfolded;
	fold->again = work.some_passed || work.more || work.failed || work.not_published;
	fold->filling = fold->windows;
	fold->fresh_to = mr_clock_us() + REST_US;
	fold->fold_at = mr_clock_us() + (work.more ? 0 : FOLD_INTERVAL_US);
	fold->not_before = mr_clock_us() + (work.failed ? FOLD_INTERVAL_US : BUSY_US);
	list_free(work.ids);
	list_free(fold->left);
	fold->left = work.left;
}

void
mr_fold_if_due(MrFold *fold, int32 pipeline_id)
{
	int64 now = mr_clock_us();
	bool many = fold->unfolded >= FOLD_ROWS;

	/* what a worker before this one has left is folded, and closed, without a batch */
	if ((fold->known && !fold->windows) || now < (many ? fold->not_before : fold->fold_at))
		return;
	if (many && now < fold->fold_at && fold->unfolded - fold->kept < FOLD_ROWS)
	{
		if (fold->left != NIL)
			fold_left(fold, pipeline_id);
		return;
	}
	if (fold->known && is_at_rest(fold, pipeline_id))
		fold->fold_at = mr_clock_us() + FOLD_INTERVAL_US;
	else
		fold_windows(fold, pipeline_id);
}

bool
mr_fold_is_full(const MrFold *fold)
{
	return fold->unfolded >= FOLD_ROWS_MAX;
}

void
mr_fold_free(MrFold *fold)
{
	list_free(fold->left);
	fold->left = NIL;
}
