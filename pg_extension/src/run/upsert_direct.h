/*
 * upsert_direct.h: rows into a plain table that replace those of their keys, without ON CONFLICT.
 *
 * For plain targets (program/plain_target.h) whose key is looked up in one index (program/conflict_index.h), where rows are
 * replaced and not merged, kept or deleted.
 */
#ifndef MR_UPSERT_DIRECT_H
#define MR_UPSERT_DIRECT_H

#include "program/program.h"

/*
 * As mr_insert_direct(), of rows that are ordered by their conflict key, one for each key. A row that gives way to a newer one
 * is not written. *gave_up: set before an error that says no more than that another session was at the same key at the same
 * moment, or that something is unusual; rolled back, the rows are to be written by program->insert, which knows all cases.
 */
extern void mr_upsert_direct(MrProgram *program, MrBatch *batch, const int *numbers, int from,
							 int to, int *at, bool *gave_up);

#endif /* MR_UPSERT_DIRECT_H */
