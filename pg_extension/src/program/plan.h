/*
 * plan.h: a user's statement over one ephemeral relation, analysed once, planned for small and for large
 * inputs, run with the rows of a batch.
 *
 * PostgreSQL's plan cache would do most of this, but it analyses the text again by itself; here the analysed
 * query is changed first (a hidden ordinal, casts to the target's types), so invalidation is ours to watch.
 */
#ifndef MR_PLAN_H
#define MR_PLAN_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "tcop/dest.h"
#include "utils/snapshot.h"
#include "utils/tuplestore.h"

struct MrPlanInput;

typedef struct MrPlan MrPlan;

/* Changes the analysed query in place; may raise errors with positions in the statement. */
typedef void (*MrPlanPatch)(Query *query, void *arg);

/* Text of a user's that is being analysed: errors point into it, not into the caller's statement. */
typedef struct MrPlanText
{
	const char *sql;
	int before; /* characters of the analysed text that stand before it */
	int length; /* of it, in characters */
	ErrorContextCallback callback;
} MrPlanText;

/* From begin to end, which is not called when an error is raised; `text` must live so long. */
extern void mr_plan_text_begin(MrPlanText *text, const char *sql, int before);
extern void mr_plan_text_end(MrPlanText *text);

/*
 * Makes a plan in a child of the current memory context; nothing is analysed yet. `relation` is the name of
 * the ephemeral relation, `visible` its columns as the statement sees them, `full` the same with the hidden
 * int4 ordinal last. All must live as long as the plan. `target` is the table the rows are meant for: a
 * change of it invalidates the plan although the statement may not name it.
 */
extern MrPlan *mr_plan_create(const char *sql, const char *relation, TupleDesc visible,
							  TupleDesc full, Oid target, MrPlanPatch patch, void *arg);

/* The statement was written for that search_path, which must live as long as the plan. */
extern void mr_plan_set_path(MrPlan *plan, const char *path);

/*
 * The statement holds a text of the user's behind so many characters: errors in it point into that text, and `setup` gives the
 * parser its hooks (parser/parse_node.h).
 */
extern void mr_plan_set_part(MrPlan *plan, const char *part, int before, ParserSetupHook setup,
							 void *arg);

/*
 * The statement joins its relation with the target by the conflict key: planned as nested loops, so that each row looks its
 * match up in the index, and mr_plan_failed_at() is exact.
 */
extern void mr_plan_look_up(MrPlan *plan);

/*
 * The planned statement for many rows, its relations locked; it stays until the plan is run or this is called again. For who runs it
 * without the executor.
 */
extern PlannedStmt *mr_plan_statement(MrPlan *plan);

/*
 * From now on the statement sees what this snapshot does, which must be valid at each run; NULL: what is committed when it runs, and
 * what its transaction has done.
 */
extern void mr_plan_set_snapshot(MrPlan *plan, Snapshot snapshot);

/* Analyses the statement now, as the current user, so that its errors are raised now. */
extern Query *mr_plan_analyze(MrPlan *plan);

/*
 * Runs the statement as mr_plan_run() does, over the rows of an input (plan_input.h), which are put into `store` if the statement's plan needs them there; it is
 * empty before.
 */
extern uint64 mr_plan_run_input(MrPlan *plan, const struct MrPlanInput *input,
								Tuplestorestate *store, int nrows, DestReceiver *dest);

/*
 * Runs the statement over `rows` (columns as in `full`), `nrows` of them; rows that come out go to `dest`.
 * Returns the rows processed. Raises whatever the statement raises; then mr_plan_failed_at() may be asked.
 */
static inline uint64
mr_plan_run(MrPlan *plan, Tuplestorestate *rows, int nrows, DestReceiver *dest)
{
	return mr_plan_run_input(plan, NULL, rows, nrows, dest);
}

/*
 * After an error, before the memory of the statement's run is freed: the ordinal of the row read last, -1 if unknown.
 * It need not be the one at fault: a plan that sorts or hashes its input reads all of it before it fails.
 */
extern int mr_plan_failed_at(MrPlan *plan);

/*
 * While rows come out of a plan that reads its input one by one: the ordinal of the input row at work.
 */
extern int mr_plan_current(MrPlan *plan);

/* The ordinal of the input row at work of who runs statements without the executor, -1: nobody does. Who sets it resets it, after errors, too. */
extern int mr_plan_row_at_work;

/* The ordinal of the row at work of what runs, -1 if nothing does. For the handler of a crash. */
extern int mr_plan_at_work(void);

/*
 * False for ever once something the statement depends on has changed: what was derived from its analysis must
 * be made again. (Running plans the statement again by itself.)
 */
extern bool mr_plan_is_valid(MrPlan *plan);

/* Whether the target's definition or privileges were changed since the plan was made. */
extern bool mr_plan_target_changed(MrPlan *plan);

#endif /* MR_PLAN_H */
