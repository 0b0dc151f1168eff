/*
 * changed.h: rows of the target that have the keys of a batch's rows, as they are or as they were before a command.
 *
 * For windows that are computed from the target again: a row that is updated or deleted leaves the group it was in.
 */
#ifndef MR_WINDOW_CHANGED_H
#define MR_WINDOW_CHANGED_H

#include "postgres.h"

#include "utils/tuplestore.h"

#include "program/program.h"

typedef struct MrChanged MrChanged;

/* Receives a row: its columns are those of program->stored. number: of the row of the batch that has its key. */
typedef void (*MrChangedRow)(void *arg, int number, const Datum *values, const bool *nulls);

/*
 * In the current memory context, analysed as the current user, of a program whose rows have a conflict key. Raises
 * object_not_in_prerequisite_state for a key by which rows are not found as upserts find them (program/conflict_index.h):
 * create_window() refuses it, and it can become so afterwards.
 */
extern MrChanged *mr_changed_create(const MrProgram *program);

/*
 * Hands over the target's rows that have the keys of these rows (columns as in program->row_full) of the batch, those left out
 * that had no effect. before: without what the transaction has done by this command and later ones, and with what others have
 * committed up to now; InvalidCommandId: as they are.
 */
extern void mr_changed_read(MrChanged *changed, const MrBatch *batch, Tuplestorestate *rows,
							int nrows, CommandId before, MrChangedRow put, void *arg);

#endif /* MR_WINDOW_CHANGED_H */
