/*
 * write.h: the rows of a batch into the target.
 */
#ifndef MR_WRITE_H
#define MR_WRITE_H

#include "program/program.h"

/*
 * Sorts the rows, keeps the last of each conflict key, inserts them; constraints, defaults, triggers,
 * partitions and generated columns are the server's own. An event with a row that is refused has none of its rows
 * written and is MR_FAILED: the verdict (fail/verdict.h) makes a retry or a dead letter of it. What is no event's fault
 * is raised. Afterwards no event is pending.
 */
extern void mr_write_run(MrProgram *program, MrBatch *batch);

/*
 * After mr_write_run() and the verdict: whether a row gave way to one that was refused or is parked, so that neither is
 * there. Then the whole write is to be rolled back, mr_write_forget() called, and the write run again: without those
 * that failed or are parked.
 */
extern bool mr_write_is_short(const MrBatch *batch);
extern void mr_write_forget(MrBatch *batch);

#endif /* MR_WRITE_H */
