/*
 * window_definition.h: the windows of a pipeline as the catalogue has them.
 */
#ifndef MR_WINDOW_DEFINITION_H
#define MR_WINDOW_DEFINITION_H

#include "postgres.h"

#include "nodes/pg_list.h"

typedef struct MrWindowDefinition
{
	int32 id;
	const char *name;
	/* SELECTS FROM rows GROUPED: the partial values of the rows, in the columns of the state tables from window_start on */
	const char *selects;
	const char *grouped;
	const char *at;    /* the event time, over the same rows */
	int64 max_skew_us; /* a time that is further in the future moves no watermark */
	/* OLD_SELECTS FROM rows GROUPED: the same of rows that others take the place of; NULL: nothing is taken back */
	const char *old_selects;
} MrWindowDefinition;

/* Those of a pipeline, in the order of their ids, in the current memory context. */
extern List *mr_window_definitions(int32 pipeline_id);

#endif /* MR_WINDOW_DEFINITION_H */
