/*
 * remedy.h: the command that fixes the cause of a pipeline's trouble, printed so that it can be pasted.
 *
 * The SQLSTATE says what kind of cause to look for. The names come from comparing the tables of the program that ran last
 * with what they are now (remembered.h), or from the fields of the error; never from its text, which is in the language
 * of the server: it only decides between several changes of one kind.
 */
#ifndef MR_REMEDY_H
#define MR_REMEDY_H

#include "postgres.h"

#include "nodes/pg_list.h"

/* Whether a command is looked for: what passes by itself, or is nothing of the catalogue's, has none. Needs no transaction. */
extern bool mr_remedy_is_possible(int sqlstate);

/*
 * In: what mr_remember() returned when the program was last made, NIL: never by this worker; the pipeline, as its current
 * version has it; the error. Out: SQL, one or more statements; NULL: not known. Needs a transaction of the pipeline's owner.
 */
extern char *mr_remedy(List *remembered, int32 pipeline_id, const ErrorData *error);

#endif /* MR_REMEDY_H */
