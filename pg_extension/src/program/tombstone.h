/*
 * tombstone.h: a message without a payload, in a pipeline with tombstone => 'delete': it deletes the row of its key.
 *
 * The transform never sees it.
 */
#ifndef MR_TOMBSTONE_H
#define MR_TOMBSTONE_H

#include "program/program.h"

/*
 * Reads which row it deletes into event->values; event->deletes is set then. Returns NULL, or why it cannot be read. Allocates
 * in the current memory context.
 */
extern MrFailure *mr_tombstone_read(MrProgram *program, MrEvent *event);

/* Adds its row, in the memory context of the batch, to the batch. */
extern void mr_tombstone_add_row(MrProgram *program, MrBatch *batch, int event);

#endif /* MR_TOMBSTONE_H */
