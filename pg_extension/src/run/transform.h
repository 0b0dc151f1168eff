/*
 * transform.h: running a transform over the events of a batch.
 */
#ifndef MR_TRANSFORM_H
#define MR_TRANSFORM_H

#include "program/program.h"

/*
 * Runs the transform over the pending events; rows are added to batch->rows. Events it fails on are MR_FAILED: the
 * verdict (fail/verdict.h) makes a retry or a dead letter of them. What is no event's fault is raised.
 *
 * Rows take at most millrace.batch_memory: a batch that gives more is given back, an event that does so alone fails.
 */
extern void mr_transform_run(MrProgram *program, MrBatch *batch);

/*
 * After the verdict: whether the transform wrote something for an event that is left out. Then both transform and write
 * are to be rolled back, mr_write_forget() and mr_transform_forget() called, and both run again: without those that
 * failed or are parked.
 */
extern bool mr_transform_left_effects(const MrBatch *batch);
extern void mr_transform_forget(MrBatch *batch);

#endif /* MR_TRANSFORM_H */
