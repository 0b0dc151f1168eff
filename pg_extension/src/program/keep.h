/*
 * keep.h: values that an update lacks, because the source left them out, and that the target's row keeps.
 *
 * Of format debezium with on_conflict => 'update'. A column can keep its value when the transform gives it a field as it is, and
 * it is neither of the conflict key nor newer_by; a field that is named in any other place too cannot be left out, for an
 * expression would meet a NULL that nobody has written. Before such a row is written, what it lacks is read from the target's
 * row, which is locked from then on: whatever comes behind (merge, newer_by, triggers, another try) sees a whole row.
 *
 * A transform that names event.unavailable deals with such values itself: they are NULL, and nothing is kept.
 */
#ifndef MR_KEEP_H
#define MR_KEEP_H

#include "postgres.h"

#include "program/program.h"
#include "server/compat.h"

typedef struct MrKeep
{
	MrPlan *
		look_up; /* of rows as merge.h describes them: the number of each, and the old values of columns that can keep
						them, in their order */
} MrKeep;

/*
 * The field that each output column of the analysed transform is without a change, from 0, -1: it is something else. `index`: of
 * event in the range table. In the current memory context; before columns are cast to the target's types.
 */
extern int *mr_keep_fields(const MrProgram *program, const Query *query, int index);

/* Whether the column keeps its value when the field that it is was left out, as far as the column goes. */
extern bool mr_keep_can(const MrProgram *program, const MrColumn *column);

/*
 * Decides which fields may be left out, in the memory context of the program. `in_expressions`: columns of event that are
 * named in other places than whole output columns that can keep their value.
 */
extern void mr_keep_decide(MrProgram *program, const Bitmapset *in_expressions);

/* In the current memory context, analysed as the current user, of a program whose event relation keeps. */
extern MrKeep *mr_keep_create(const MrProgram *program);

/* Whether the event's row lacks a value for the column. */
static inline bool
mr_keep_lacks(const MrProgram *program, const MrEvent *event, const MrColumn *column)
{
	return unlikely(event->left_out != NULL) && program->keep != NULL && column->field >= 0 &&
		   bms_is_member(column->field, event->left_out);
}

/* Puts the values that a row of the batch lacks into it: `old` is what look_up gave for it. `slot`: for rows of program->row_full. */
extern void mr_keep_fill(const MrProgram *program, MrBatch *batch, int number, TupleTableSlot *old,
						 TupleTableSlot *slot);

/* Raises that there is no row to keep what the event lacks. */
pg_noreturn extern void mr_keep_raise_absent(const MrProgram *program, const MrEvent *event);

#endif /* MR_KEEP_H */
