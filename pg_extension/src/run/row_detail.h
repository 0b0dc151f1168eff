/*
 * row_detail.h: "Failing row contains (...)", as PostgreSQL's own detail of a refused row.
 */
#ifndef MR_ROW_DETAIL_H
#define MR_ROW_DETAIL_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/rel.h"

#include "program/program.h"

/*
 * Of a whole row of the target; columns that the current user may not read are left out unless the transform gives them.
 * In the current memory context; NULL when row security may hide the row. Values longer than 64 bytes are cut.
 */
extern char *mr_row_detail(const MrProgram *program, Relation target, TupleTableSlot *slot);

/* The same of the columns the transform gives, before the others are known. */
extern char *mr_row_detail_given(const MrProgram *program, const Datum *values, const bool *isnull);

#endif /* MR_ROW_DETAIL_H */
