/*
 * settle.h: the outcome of a batch into the catalogue: dead letters, counters, position.
 */
#ifndef MR_SETTLE_H
#define MR_SETTLE_H

#include "program/batch.h"
#include "program/program.h"

/*
 * Writes dead letters, the positions and counters of the batch's partitions and those by type, in the current transaction,
 * whose commit carries the batch's whole outcome. Every event must have its outcome.
 */
extern void mr_settle(MrProgram *program, MrBatch *batch);

#endif /* MR_SETTLE_H */
