/*
 * contribute.h: what the rows of a batch add to the windows of their pipeline.
 *
 * Rows are put as they were stored (after triggers and defaults); when the write has succeeded, each window aggregates
 * them by its own SQL, over the ephemeral relation "written", and the partial values are appended to the window's table, in
 * the subtransaction of the write: they are there if and only if the rows are.
 *
 * Each transaction appends to a stream of its pipeline that no other one appends to meanwhile, with numbers that only grow.
 * So all numbers of a stream up to one that is visible are: the fold (68_window_fold.sql) leaves behind where readers begin.
 */
#ifndef MR_WINDOW_CONTRIBUTE_H
#define MR_WINDOW_CONTRIBUTE_H

#include "postgres.h"

#include "program/program.h"

typedef struct MrWindows MrWindows;

/*
 * A batch is to be written: NULL when the program has no windows. Rows are kept in the current memory context until
 * mr_windows_end().
 */
extern MrWindows *mr_windows_begin(MrProgram *program);
extern void mr_windows_end(MrWindows *windows);

/* Forgets the rows put so far: the write is tried again. */
extern void mr_windows_clear(MrWindows *windows);

/*
 * A row of the target, with its number in the batch; values in the order of the target's columns, those that were dropped
 * included (`all`) or not.
 */
extern void mr_windows_put(MrWindows *windows, const Datum *values, const bool *nulls, bool all,
						   int number);

/* Whether rows that others take the place of are needed, too: mr_windows_put_changed() is to be called after the write. */
extern bool mr_windows_follow_changes(const MrWindows *windows);

/*
 * The rows of the target that rows of the batch have changed or removed, as they were before that command: without what this
 * transaction has done from then on, with all that others have committed. An update or a delete holds the lock of its row until the
 * transaction ends, so that is exactly the row it met, whoever wrote it and when.
 *
 * rows: of program->row_full, those of an attempt that was made. stored: puts the rows as they are now, too; otherwise the
 * write has.
 */
extern void mr_windows_put_changed(MrWindows *windows, const MrBatch *batch, Tuplestorestate *rows,
								   int nrows, CommandId before, bool stored);

/* Appends what the rows, of that batch, add. Raises whatever an expression raises; then mr_windows_failed_at() may be asked. */
extern void mr_windows_contribute(MrWindows *windows, const MrBatch *batch);

/* After an error: the number of the row at work, -1 unknown. */
extern int mr_windows_failed_at(MrWindows *windows);

/* Partial values appended since it was last asked, in attempts that were kept or not: how soon to fold. */
extern int64 mr_windows_take_appended(MrProgram *program);

#endif /* MR_WINDOW_CONTRIBUTE_H */
