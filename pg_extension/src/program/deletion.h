/*
 * deletion.h: the statements that delete rows of the target by their conflict key.
 */
#ifndef MR_DELETION_H
#define MR_DELETION_H

#include "postgres.h"

#include "program/program.h"

typedef struct MrDeletion
{
	MrPlan *remove; /* deletes; gives the number of each row that deleted one */
	MrPlan *newer;  /* gives the numbers of rows that met a newer one; NULL: without newer_by */
	TupleDesc
		rows; /* of both: the conflict key, the value of newer_by if there is one, and the row's number */
} MrDeletion;

/* Made in the program's memory context and analysed as the current user. */
extern MrDeletion *mr_deletion_create(MrProgram *program);

/* What the statements read of a row of the batch: the values of a slot of program->row_full, and its number. */
extern void mr_deletion_put(const MrProgram *program, Tuplestorestate *store, TupleTableSlot *row,
							int32 number);

#endif /* MR_DELETION_H */
