/*
 * insert_direct.h: rows into a plain table a page at a time, as COPY does, with one WAL record a page.
 *
 * For plain targets (program/plain_target.h) without a conflict rule; for upserts of them see upsert_direct.h. All others
 * go through a planned INSERT (run/write.c).
 */
#ifndef MR_INSERT_DIRECT_H
#define MR_INSERT_DIRECT_H

#include "program/program.h"
#include "window/contribute.h"

/*
 * Inserts the rows of the batch with numbers[from] .. numbers[to - 1]; each event has one row at most. A row that
 * violates NOT NULL or CHECK is left out without an exception and its event is MR_FAILED: the verdict
 * (fail/verdict.h) makes a retry or a dead letter of it. Other refusals are raised; *at is then the index into
 * numbers of the row at work. Rows that are inserted are put to `windows`, NULL: there are none.
 */
extern void mr_insert_direct(MrProgram *program, MrBatch *batch, MrWindows *windows,
							 const int *numbers, int from, int to, int *at);

#endif /* MR_INSERT_DIRECT_H */
