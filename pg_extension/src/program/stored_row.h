/*
 * stored_row.h: a whole row of the target, and the statement that stores it in the place of the one with its key.
 */
#ifndef MR_STORED_ROW_H
#define MR_STORED_ROW_H

#include "program/program.h"

typedef struct MrStoredRow
{
	TupleDesc target; /* of the table, as it was when the program was made */
	TupleDesc rows;   /* its columns without the dropped ones, and the row's number in its batch */
	MrPlan *store;
	List *
		assignments; /* of TargetEntry, resno: the target's column; old is the scan's row, new the inner one */
	Expr *condition; /* of newer_by, over the same; NULL: none */
} MrStoredRow;

/* The columns of a table without those that were dropped, and the row's number in its batch, in the current memory context. */
extern TupleDesc mr_stored_row_describe(TupleDesc target, bool with_number);

/*
 * Whether the rows of a key can be merged in memory, all but the first (run/fold.h): nothing but NOT NULL and CHECK can see
 * the rows between, or refuse them. `query`: the analysed INSERT ... ON CONFLICT DO UPDATE.
 */
extern bool mr_target_folds(const MrProgram *program, Relation target, const Query *query);

/* In the current memory context, analysed as the current user, of the same query. */
extern MrStoredRow *mr_stored_row_create(const MrProgram *program, Relation target,
										 const Query *query);

/* Appends a row of the target, in a slot of `target`. */
extern void mr_stored_row_put(const MrStoredRow *stored, Tuplestorestate *rows,
							  TupleTableSlot *slot, int32 number);

#endif /* MR_STORED_ROW_H */
