/*
 * write_in_order.h: merges, upserts and deletes of rows whose rows of one key take effect one after another.
 *
 * In rounds: the first row of each key, then the second, and so on. A round is a few statements, so that each row meets the
 * target's as the row before it left it, whatever triggers, defaults and constraints have made of it. Where nothing can see
 * the rows between, they are merged in memory (fold.h).
 */
#ifndef MR_WRITE_IN_ORDER_H
#define MR_WRITE_IN_ORDER_H

#include "run/fold.h"
#include "run/write_arrange.h"

/* Rows of one key, from which on rounds cost too much: versions of a row that one transaction makes are all looked at. */
#define MR_ROUNDS_MAX 250

typedef struct MrWriteInOrder
{
	MrProgram *program;
	MrBatch *batch;
	const MrArrangement *arranged;
	TupleTableSlot *slot; /* for rows of program->row_full */
	MrPlan *running;      /* after an error: the one that raised it, NULL none */
	int lacking; /* after an error: number of a row that lacks values and has no old row, -1 none */
	MrFold *fold; /* while it writes */
} MrWriteInOrder;

/* Writes arranged->rows[from] .. [to - 1], and marks those that have taken effect. Raises what the statements raise. */
extern void mr_write_in_order(MrWriteInOrder *state, int from, int to);

/* After an error, before the memory of what failed is freed: the number of the row at fault, as far as that is known, -1. */
extern int mr_write_in_order_failed_at(const MrWriteInOrder *state);

#endif /* MR_WRITE_IN_ORDER_H */
