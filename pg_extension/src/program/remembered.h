/*
 * remembered.h: the tables that a program refers to, as they were when it was made. When it cannot be made any more, what was
 * changed about them since is found by comparing (remedy.h).
 */
#ifndef MR_REMEMBERED_H
#define MR_REMEMBERED_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/relcache.h"

#include "program/program.h"

typedef struct MrRememberedColumn
{
	const char *name; /* NULL: it was dropped even then */
	const char *type; /* as SQL has it */
	bool not_null;
} MrRememberedColumn;

typedef struct MrRememberedTable
{
	Oid oid;
	const char *schema;
	const char *name;
	int ncolumns;
	MrRememberedColumn *columns; /* by attribute number - 1 */
} MrRememberedTable;

/* A table or view as it is now, in the current memory context. */
extern MrRememberedTable *mr_remember_table(Relation rel);

/* The target, then what else the transform names, in the current memory context: a list of MrRememberedTable *. */
extern List *mr_remember(const MrProgram *program);

#endif /* MR_REMEMBERED_H */
