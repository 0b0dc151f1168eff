/*
 * plan_input.h: rows for a plan's scan of its ephemeral relation, asked for one by one instead of read from a tuplestore.
 *
 * A tuplestore costs each row a tuple that is formed, copied and taken apart again. It is needed only where rows may be
 * read twice.
 */
#ifndef MR_PLAN_INPUT_H
#define MR_PLAN_INPUT_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "executor/execdesc.h"
#include "nodes/execnodes.h"
#include "utils/tuplestore.h"

/* Puts the next row, columns as in the plan's `full`, and returns true, or false at the end. What values point to is there until the next call. */
typedef struct MrPlanInput
{
	bool (*next)(void *arg, Datum *values, bool *isnull);
	void *arg;
} MrPlanInput;

/*
 * Between ExecutorStart() and the run: the scan takes its rows from the input. If the plan may read them again, or has no such scan
 * (NULL) in its outermost part, all of them are put into `store`, the relation's own, with the columns `desc`.
 */
extern void mr_plan_input_attach(const MrPlanInput *input, QueryDesc *query,
								 NamedTuplestoreScanState *scan, TupleDesc desc,
								 Tuplestorestate *store);

#endif /* MR_PLAN_INPUT_H */
