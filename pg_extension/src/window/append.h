/*
 * append.h: a DestReceiver that appends the partial values of a window to one of its state tables.
 *
 * The rows that come in have the table's columns from window_start on. No privileges are asked: the table belongs to the
 * extension's owner, the statement runs as the pipeline's.
 */
#ifndef MR_WINDOW_APPEND_H
#define MR_WINDOW_APPEND_H

#include "postgres.h"

#include "access/heapam.h"
#include "nodes/execnodes.h"
#include "tcop/dest.h"

#define MR_APPEND_KEYS_MAX 2

typedef struct MrAppend
{
	DestReceiver pub; /* first */
	MemoryContext context;
	Relation table;
	EState *estate;
	ResultRelInfo *result;
	BulkInsertState bulk;
	CommandId command;
	int nkeys;
	Datum keys[MR_APPEND_KEYS_MAX]; /* the table's columns before window_start */
	TupleTableSlot **slots;
	int nslots;
	int64 rows;    /* appended */
	int64 outside; /* rows of the target whose event time is in no window: they are only counted */
} MrAppend;

/* `table` is a name in the schema of the extension. */
extern void mr_append_begin(MrAppend *append, const char *table, int nkeys, const Datum *keys);
extern void mr_append_end(MrAppend *append, int32 window_id);

#endif /* MR_WINDOW_APPEND_H */
