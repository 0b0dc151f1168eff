/*
 * groups.h: the groups of a batch's rows, with the states of aggregates.
 *
 * Windows that take the same rows and group them alike share one, and each aggregate that several of them have is computed once.
 *
 * Keys are compared as bytes. So values that are equal and look different, such as numeric 1.0 and 1.00, are groups of their own here:
 * what these give is merged wherever partial values are merged, by the equality of the type.
 */
#ifndef MR_WINDOW_GROUPS_H
#define MR_WINDOW_GROUPS_H

#include "postgres.h"

#include "nodes/execnodes.h"

#include "window/row_values.h"
#include "window/transition.h"

typedef struct MrGroup
{
	uint32 hash;
	NullableDatum keys[FLEXIBLE_ARRAY_MEMBER]; /* and the states behind them */
} MrGroup;

typedef struct MrGroups MrGroups;

/*
 * In the current memory context. conditions and keys: numbers of row values; rows on which a condition is not true do not
 * count. The arrays must live as long.
 */
extern MrGroups *mr_groups_create(MrRowValues *values, int nconditions, const int *conditions,
								  int nkeys, const int *keys);
extern void mr_groups_free(MrGroups *groups);

/* Whether they are of the same rows and keys. */
extern bool mr_groups_serve(const MrGroups *groups, int nconditions, const int *conditions,
							int nkeys, const int *keys);

/* The place of an aggregate among the states, -1: it needs more than the row; before any row is added. */
extern int mr_groups_add_aggregate(MrGroups *groups, Aggref *aggregate, Index relation,
								   List *inputs);

/* Adds the row at hand to its group, in the memory for a tuple of the row values. */
extern void mr_groups_add_row(MrGroups *groups);

/* More than any memory when there are as many as can be. */
extern Size mr_groups_memory(const MrGroups *groups);
extern int mr_groups_count(const MrGroups *groups);

/* In the order in which they came up. */
extern const MrGroup *mr_groups_at(const MrGroups *groups, int i);
extern Datum mr_groups_result(MrGroups *groups, const MrGroup *group, int aggregate, bool *isnull);

/* Forgets the groups. */
extern void mr_groups_clear(MrGroups *groups);

#endif /* MR_WINDOW_GROUPS_H */
