/*
 * direct_rows.h: rows of a batch on their way into a plain table (program/plain_target.h), some hundred at a time.
 *
 * What is done with them is that of insert_direct.c or upsert_direct.c; here they get their defaults and meet the table's
 * NOT NULL and CHECK.
 */
#ifndef MR_DIRECT_ROWS_H
#define MR_DIRECT_ROWS_H

#include "postgres.h"

#include "access/heapam.h"
#include "nodes/execnodes.h"
#include "program/program.h"
#include "server/index_entries.h"
#include "utils/rel.h"
#include "window/contribute.h"

#define MR_DIRECT_ROWS 1000 /* at a time at most; as COPY */

typedef struct MrDirectDefault
{
	AttrNumber attnum;
	ExprState *expression; /* NULL: the column is NULL */
	bool is_varlena;
} MrDirectDefault;

/* The first three are set by who begins. */
typedef struct MrDirectRows
{
	MrProgram *program;
	MrBatch *batch;
	MrWindows *windows; /* rows are put to them, NULL: there are none */
	Relation target;
	EState *estate;
	ResultRelInfo *result;
	MrIndexEntries entries;
	BulkInsertState bulk;
	CommandId command;
	int ndefaults;
	MrDirectDefault *defaults; /* columns the transform does not give */
	int nchecks;
	ExprState **checks;
	TupleTableSlot *source; /* for the rows' minimal tuples */
	const int *numbers;     /* of the rows of the batch, in the order they are written */
	int *at_of;             /* index into the numbers of each buffered row */
	int n;                  /* rows that are buffered, in program->slots */
	Size bytes;             /* of these */
} MrDirectRows;

/* Writes the buffered rows; *at is the index into the numbers of the row at work, -1: not known. */
typedef void (*MrDirectFlush)(MrDirectRows *direct, int *at);

/*
 * Locks the target until the transaction ends, outside of any subtransaction: that this fails, or that the table
 * was changed since the program was made, is no event's fault.
 */
extern void mr_direct_hold(const MrProgram *program);

/* Opens the target and its indexes; raises insufficient_privilege. upserts: rows are looked up in unique indexes. */
extern void mr_direct_begin(MrDirectRows *direct, bool upserts);
extern void mr_direct_end(MrDirectRows *direct);

/*
 * Buffers the rows of the batch with numbers[from] .. numbers[to - 1], each event has one at most, and has them flushed. A row
 * that violates NOT NULL or CHECK is left out without an exception and its event is MR_FAILED. *at is the index into numbers of
 * the row at work when something is raised.
 */
extern void mr_direct_run(MrDirectRows *direct, const int *numbers, int from, int to,
						  MrDirectFlush flush, int *at);

/* The row of the batch in a buffer's place. */
static inline MrRow *
mr_direct_row(const MrDirectRows *direct, int i)
{
	return &direct->batch->rows[direct->numbers[direct->at_of[i]]];
}

/* Whether the table's NOT NULL or CHECK refuse what the row has become; then its event is MR_FAILED. */
extern bool mr_direct_refuses(MrDirectRows *direct, MrRow *row, TupleTableSlot *slot);

#endif /* MR_DIRECT_ROWS_H */
