/*
 * row_store.h: the rows of a batch as they were stored, for the windows that read them.
 *
 * Of each row only the columns that some window names are kept, and the number of the row. They are in memory up to
 * millrace.batch_memory, which bounds the rows of a batch itself, and on disk beyond that.
 */
#ifndef MR_WINDOW_ROW_STORE_H
#define MR_WINDOW_ROW_STORE_H

#include "postgres.h"

#include "access/tupdesc.h"

typedef struct MrRowStore MrRowStore;

/* In the current memory context, for rows of that descriptor, which lives as long; its last column is the number, an int4. */
extern MrRowStore *mr_row_store_create(TupleDesc full);

/* That column, from 0, is kept; before any row is put. */
extern void mr_row_store_use(MrRowStore *store, int column);

/* Rows are kept in the current memory context from begin to end. One that has gone with an error needs no end. */
extern void mr_row_store_begin(MrRowStore *store);
extern void mr_row_store_end(MrRowStore *store);

/* Forgets the rows. */
extern void mr_row_store_clear(MrRowStore *store);

/* A row; places: where in values each column is, NULL: as in the descriptor. */
extern void mr_row_store_put(MrRowStore *store, const Datum *values, const bool *nulls,
							 const int *places, int number);

extern TupleDesc mr_row_store_columns(const MrRowStore *store);
extern int mr_row_store_rows(const MrRowStore *store);

/* The next call of mr_row_store_next() gives the first row again. */
extern void mr_row_store_rewind(MrRowStore *store);

/*
 * Sets the columns that are kept, the number among them, and leaves the others as they are; false: there is no row left. What values
 * point to is there until the next call.
 */
extern bool mr_row_store_next(MrRowStore *store, Datum *values, bool *nulls);

#endif /* MR_WINDOW_ROW_STORE_H */
