/*
 * merge.h: what an upsert makes of the old and the new row: `merge`, an assignment for each column.
 *
 *     hits = old.hits + new.hits, big = coalesce(new.big, old.big)
 *
 * `old` is the row of the target, `new` the row that the transform gives. Columns that are not named get the new value, as in
 * any upsert; the row of a key that is not there is inserted as it is.
 */
#ifndef MR_MERGE_H
#define MR_MERGE_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "program/program.h"

#define MR_MERGE_OLD    "old"
#define MR_MERGE_ROWS   "millrace_rows"
#define MR_MERGE_NUMBER "millrace row number"

typedef struct MrMerge
{
	TupleDesc rows; /* that the statements read: as program->row_full */
	MrPlan *
		update; /* of rows that are there; gives the number of each, and (if rows can be folded) the target's row */
	MrPlan *present; /* locks what is there, and gives the numbers of rows whose key that has */
	struct MrStoredRow *stored; /* stored_row.h; NULL: rows cannot be folded */
} MrMerge;

/*
 * The names of the columns that definition->merge assigns to, as a list of char *. Raises what is no list of assignments, or
 * assigns to the conflict key, with its position in the text.
 */
extern List *mr_merge_columns(const MrDefinition *definition);

/* Whether a list of char * has the name. */
extern bool mr_merge_is_named(List *names, const char *name);

/*
 * Appends the assignments of an upsert: those of merge (if any), and the new value for each other column that the transform
 * gives, but not to the conflict key, which is what it was: an UPDATE that assigns to a key locks its row against rows that
 * refer to it (FOR UPDATE), one that does not allows them (FOR NO KEY UPDATE). A row that is nothing but its key is assigned
 * all the same: there must be something to assign. `new`: how the new row is named. Returns how many characters stand before
 * those of merge.
 */
extern int mr_merge_append(StringInfo sql, const MrProgram *program, const char *new_row);

/*
 * Makes the plan of an upsert that has the assignments behind so many characters know `new`, and point into them with its
 * errors.
 */
extern void mr_merge_prepare(MrProgram *program, MrPlan *plan, int before);

/*
 * A statement over rows (the relation MR_MERGE_ROWS) that are looked up in the target: the rows with their numbers under the name
 * MR_MERGE_NUMBER, the condition that gives each its row of the target (` WHERE old.key = new.key ...`), and its plan, which is
 * not analysed yet.
 */
extern TupleDesc mr_merge_describe_rows(const MrProgram *program);
extern void mr_merge_append_match(StringInfo sql, const MrProgram *program);
extern MrPlan *mr_merge_plan(const MrProgram *program, const char *sql, TupleDesc rows);

/* In the current memory context, analysed as the current user. `query`: that of program->insert. */
extern MrMerge *mr_merge_create(MrProgram *program, Relation target, const Query *query);

#endif /* MR_MERGE_H */
