/*
 * delete_when.h: the condition that makes a row of the transform delete instead of write.
 */
#ifndef MR_DELETE_WHEN_H
#define MR_DELETE_WHEN_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "nodes/parsenodes.h"

/*
 * Analyses the condition over the relation event with the columns `event`, and adds it to the query of a transform as its
 * last output column: `index` is event's place in the query's range table. Errors point into the condition.
 */
extern void mr_delete_when_add(Query *query, int index, const char *condition, TupleDesc event);

#endif /* MR_DELETE_WHEN_H */
