/*
 * insert_direct.h: rows into a plain table a page at a time, as COPY does, with one WAL record a page.
 *
 * For targets where nothing can happen but the insert itself: an ordinary table without triggers, rules,
 * generated columns or row security, and no conflict rule. All others go through a planned INSERT (write.c).
 */
#ifndef MR_INSERT_DIRECT_H
#define MR_INSERT_DIRECT_H

#include "program.h"
#include "utils/rel.h"

/* Whether the program's target is such a table. */
extern bool mr_insert_direct_possible(const MrProgram *program, Relation target);

/*
 * Locks the target until the transaction ends, outside of any subtransaction: that this fails, or that the table
 * was changed since the program was made, is no event's fault.
 */
extern void mr_insert_direct_hold(const MrProgram *program);

/*
 * Inserts rows order[from] .. order[to - 1] of the batch; each event has one row at most. A row that violates
 * NOT NULL or CHECK is left out without an exception, its event is made a dead letter. Other refusals are
 * raised; *at is then the index into order of the row at work.
 */
extern void mr_insert_direct(MrProgram *program, MrBatch *batch, const int *order, int from, int to,
							 int *at);

#endif /* MR_INSERT_DIRECT_H */
