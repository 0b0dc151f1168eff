/*
 * write.h: the rows of a batch into the target.
 */
#ifndef MR_WRITE_H
#define MR_WRITE_H

#include "program/program.h"

/*
 * Orders the rows, lets the last of each conflict key win, inserts them; constraints, defaults, triggers,
 * partitions and generated columns are the server's own. An event with a row that is refused becomes a dead
 * letter with none of its rows written; what is no event's fault is raised. Afterwards every event has its
 * outcome.
 */
extern void mr_write_run(MrProgram *program, MrBatch *batch);

/*
 * After mr_write_run(): whether a row gave way to one that was refused in the end, or is parked, so that neither is
 * there. Then the whole write is to be rolled back, mr_write_forget() called, and the write run again: without those
 * that failed or are parked.
 */
extern bool mr_write_is_short(const MrBatch *batch);
extern void mr_write_forget(MrBatch *batch);

#endif /* MR_WRITE_H */
