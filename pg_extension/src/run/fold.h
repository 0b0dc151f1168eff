/*
 * fold.h: the rows of one key behind its first, merged in memory: one write for all of them.
 *
 * A key that is in a batch many times would make a version of its row for each event, and looking up the last of n versions
 * that one transaction has made takes n steps. So where nothing but constraints can see the rows between (program->merge has
 * `stored`), the first row of a key is written, and the others are merged into what was stored, each row checked as a stored
 * one would be; the last one is stored.
 */
#ifndef MR_FOLD_H
#define MR_FOLD_H

#include "program/program.h"
#include "run/write_arrange.h"

typedef struct MrFold MrFold;

/* In the current memory context; the target is locked. To be ended unless an error is raised. */
extern MrFold *mr_fold_begin(MrProgram *program, MrBatch *batch, const MrArrangement *arranged);

/*
 * `stored`: a slot whose columns from `first` on are the target's row as the row at `place` left it. Merges the rows behind it
 * with the same key that do not delete, before `end`, and marks those that count as written. Returns the place of the last.
 * Raises what their expressions and the table's constraints raise.
 */
extern int mr_fold_rest(MrFold *fold, TupleTableSlot *stored, int first, int place, int end);

/* Stores what was merged since the last call. */
extern void mr_fold_store(MrFold *fold);

extern void mr_fold_end(MrFold *fold);

/* After an error: the number of the row that was being merged, -1: none was. */
extern int mr_fold_failed_at(const MrFold *fold);

#endif /* MR_FOLD_H */
