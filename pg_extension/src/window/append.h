/*
 * append.h: a DestReceiver that appends partial values of a window to one of its two tables.
 *
 * The rows that come in have the columns of the folded table from window_start on. No privileges are asked: the tables belong
 * to the extension's owner, the statement runs as the pipeline's.
 */
#ifndef MR_WINDOW_APPEND_H
#define MR_WINDOW_APPEND_H

#include "postgres.h"

#include "access/heapam.h"
#include "nodes/execnodes.h"
#include "tcop/dest.h"

#include "window/event_time.h"

typedef struct MrAppendRow
{
	TimestampTz start; /* of the window */
	HeapTuple tuple;
} MrAppendRow;

typedef struct MrAppendTable MrAppendTable;

typedef struct MrAppend
{
	DestReceiver pub; /* first */
	MemoryContext context;
	int32 window_id;
	Relation folded;
	Relation partial; /* NULL: they go to the folded table */
	int32 stream;     /* of the partial table */
	int64 seq;
	const MrEventTime *time; /* goes into the partial table with the last rows; NULL: not there */
	int64 fold;              /* of the rows of the folded table, 0: of none; see below */
	MrAppendRow *buffered;   /* rows of the folded table */
	int nbuffered;
	bool checked;         /* the columns of what comes in */
	MrAppendTable *table; /* that they go to, if it is the folded one and there were some */
	Size bytes;
	int64 rows;    /* appended */
	int64 outside; /* rows of the target whose event time is in no window: they are only counted */
	int64 skewed;  /* rows whose event time is too far in the future to move the watermark */
	TimestampTz lowest;    /* the first window_start of them; DT_NOEND: there is none */
	TimestampTz first_end; /* the first window_end, likewise */
} MrAppend;

/*
 * To the folded table. What a fold adds is merged with what other folds have added when the window is compacted (68_window_remove.sql),
 * which asks for the windows that were added to: of the rows of a window some have the number of the fold, enough to
 * find it, and the others 0, as these need no entry in the index of such numbers.
 */
extern void mr_append_begin(MrAppend *append, int32 window_id, int64 fold);

/*
 * To the partial table: many in one row, as an array. A batch adds a few rows to each group as a rule, and most of them
 * are folded and gone within seconds: a row of its own for each would cost more than all the rest of a window. With the last of
 * them go the highest event times, which need not be known before mr_append_end().
 */
extern void mr_append_begin_partial(MrAppend *append, int32 window_id, int32 stream, int64 seq,
									const MrEventTime *time);

extern void mr_append_end(MrAppend *append);

#endif /* MR_WINDOW_APPEND_H */
