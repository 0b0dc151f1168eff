/*
 * transform.h: checking a transform and running it over the events of a batch.
 */
#ifndef MR_TRANSFORM_H
#define MR_TRANSFORM_H

#include "program.h"

/* The MrPlanPatch of a transform; arg is the MrProgram, whose columns it fills (or finds unchanged). */
extern void mr_transform_patch(Query *query, void *arg);

/*
 * Runs the transform over the pending events; rows go to batch->rows. Events it fails on become dead
 * letters; what is no event's fault is raised.
 */
extern void mr_transform_run(MrProgram *program, MrBatch *batch);

#endif /* MR_TRANSFORM_H */
