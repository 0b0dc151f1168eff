/*
 * one_pass.h: the statements of several windows, run over the rows of a batch at once, without the executor.
 *
 * Served are statements that the planner makes a hash aggregate over the rows of, which is what windows are as a rule: what they
 * group by, their conditions and the arguments of their aggregates are taken from the plan, so they are computed by the same
 * functions with the same rights. The executor would read the rows again for each window and compute again what windows have in common.
 */
#ifndef MR_WINDOW_ONE_PASS_H
#define MR_WINDOW_ONE_PASS_H

#include "postgres.h"

#include "nodes/plannodes.h"
#include "tcop/dest.h"

#include "window/event_time.h"
#include "window/row_store.h"

typedef struct MrOnePass MrOnePass;

/*
 * In a child of the current memory context, for one run over rows with these columns, the last of which is their number. memory: of the
 * groups, after which they are given out though more of them may come.
 */
extern MrOnePass *mr_one_pass_create(TupleDesc columns, Size memory);
extern void mr_one_pass_free(MrOnePass *pass);

/* The statement is run, too, and what it gives goes to `dest`; false: it is not served. It must live as long as the pass. */
extern bool mr_one_pass_add(MrOnePass *pass, const PlannedStmt *statement, DestReceiver *dest);

/* The same of the statement of an event time, which gets it of each row. */
extern bool mr_one_pass_add_time(MrOnePass *pass, const PlannedStmt *statement, MrEventTime *time);

/*
 * A row by who has no store of them: it is put into the slot, whose values need not live longer, and taken. What the statements
 * give comes when all are taken, or when their groups take too much memory.
 */
extern TupleTableSlot *mr_one_pass_slot(MrOnePass *pass);
extern void mr_one_pass_take(MrOnePass *pass);
extern void mr_one_pass_give_out(MrOnePass *pass);

/* Takes all rows of a store, and gives out. Raises whatever the statements raise; the row at work is mr_plan_row_at_work. */
extern void mr_one_pass_run(MrOnePass *pass, MrRowStore *rows);

#endif /* MR_WINDOW_ONE_PASS_H */
