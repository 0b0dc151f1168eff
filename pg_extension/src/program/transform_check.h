/*
 * transform_check.h: what a transform may be.
 */
#ifndef MR_TRANSFORM_CHECK_H
#define MR_TRANSFORM_CHECK_H

#include "postgres.h"

#include "nodes/parsenodes.h"

/* The MrPlanPatch of a transform; arg is the MrProgram, whose columns it fills (or finds unchanged). */
extern void mr_transform_patch(Query *query, void *arg);

#endif /* MR_TRANSFORM_CHECK_H */
