/*
 * event_time.h: the highest event time of the rows of a batch, by partition: what the watermark of a window is made of.
 */
#ifndef MR_WINDOW_EVENT_TIME_H
#define MR_WINDOW_EVENT_TIME_H

#include "postgres.h"

#include "tcop/dest.h"

#include "pipeline/window_definition.h"
#include "program/program.h"

/* Windows of the same event time and max_skew share one. Lives as long as the program. */
typedef struct MrEventTime
{
	DestReceiver pub; /* first */
	const MrWindowDefinition *definition;
	MrPlan *plan; /* SELECT event time FROM the rows; what it gives is noted */
	const MrBatch *batch;
	TimestampTz until;    /* what is later moves nothing */
	TimestampTz *highs;   /* by partition of the batch; DT_NOBEGIN: none */
	TimestampTz *of_rows; /* the same by row, until mr_event_time_end(); NULL: not kept */
	int64 skewed;         /* rows that are later */
} MrEventTime;

/* In the current memory context. `path` is the search_path that the window's SQL was written for. */
extern MrEventTime *mr_event_time_create(const MrProgram *program, const char *relation,
										 const char *path, const MrWindowDefinition *definition);

/* Whether it serves that window, too. */
extern bool mr_event_time_serves(const MrEventTime *time, const MrWindowDefinition *definition);

/*
 * So many rows of a batch are noted, in any order, with what the expression gives for them; the result is there at the end and stays until
 * the next call, in the current memory context. Rows whose time is null or infinite move nothing.
 */
extern void mr_event_time_begin(MrEventTime *time, const MrBatch *batch, int nrows);
extern void mr_event_time_note(MrEventTime *time, int row, Datum at, bool isnull);
extern void mr_event_time_end(MrEventTime *time);

#endif /* MR_WINDOW_EVENT_TIME_H */
