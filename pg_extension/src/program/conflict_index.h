/*
 * conflict_index.h: by which index an upsert finds the row of its key, where it may look itself.
 */
#ifndef MR_CONFLICT_INDEX_H
#define MR_CONFLICT_INDEX_H

#include "program/program.h"
#include "utils/rel.h"

/*
 * The btree that ON CONFLICT would take for the program's conflict key, when it is the only one, its nulls are distinct, and it
 * is checked at once; InvalidOid: the upsert is left to ON CONFLICT. So it is, too, where newer_by is of a type whose `>=` is not
 * that of its order, and where there is nothing to update but the key. Needs program->keys and columns.
 */
extern Oid mr_conflict_index(const MrProgram *program, Relation target);

/*
 * Raises object_not_in_prerequisite_state unless "=" of the conflict key finds the row that an upsert replaces, and that alone: no column of
 * the key may be null, and each unique index of the key takes the same values for equal.
 */
extern void mr_conflict_key_check(const MrProgram *program, Relation target);

#endif /* MR_CONFLICT_INDEX_H */
