/*
 * ledger_rows.h: a ledger in memory, and its rows in millrace.ledger. For ledger.c alone.
 *
 * The rows are numbered from 0. Each has entries, ascending by partition over all rows; a row may have fewer than it
 * could. Row 0 is never removed, so that looking for a ledger never steps over the removed rows of an earlier one: an
 * empty ledger is a row 0 without entries.
 *
 * They are updated in place a few times, then written as new rows, whose seq is higher: an old snapshot makes a reader step
 * over a few versions of each at most.
 *
 * A batch also appends rows of millrace.progress, the history that event_status() is read from: for the partitions of some
 * of its rows that have moved since theirs was appended, those first that have waited longest. How many is bounded for each
 * batch, so that it costs the same with any number of partitions; with very many their history is the coarser.
 */
#ifndef MR_LEDGER_ROWS_H
#define MR_LEDGER_ROWS_H

#include "pipeline/ledger.h"

typedef struct MrLedgerEntry
{
	MrPartition state; /* seq is that of its newest row of progress */
	bool moved;        /* since that row */
} MrLedgerEntry;

typedef struct MrLedgerRow
{
	bool exists;
	bool changed;
	ItemPointerData tid;
	int64 seq;
	int updates;
	TimestampTz appended_at; /* when history of its partitions was appended */
	int first;               /* its entries */
	int count;
} MrLedgerRow;

struct MrLedger
{
	int32 pipeline_id;
	int32 lane_id;
	int nrows;
	MrLedgerRow *rows;
	int n;
	MrLedgerEntry *entries; /* ascending by partition */
};

/* As it was committed last; nothing of it is read under an older snapshot. Under its lock it stays that. */
extern void mr_ledger_load(MrLedger *ledger);

/* The entry of a partition, NULL when it has none. */
extern MrLedgerEntry *mr_ledger_find(const MrLedger *ledger, int32 partition);

/* Puts entries, of which some were added, in order and deals them out to rows, all of which are then written. */
extern void mr_ledger_arrange(MrLedger *ledger);

/* Writes the rows that changed, and removes those at the end that have no entries. */
extern void mr_ledger_write(MrLedger *ledger);

#endif /* MR_LEDGER_ROWS_H */
