/*
 * settle.h: the outcome of a batch into the catalogue: dead letters, counters, position.
 */
#ifndef MR_SETTLE_H
#define MR_SETTLE_H

#include "pipeline/pipeline.h"
#include "program/batch.h"

/*
 * Writes dead letters and the positions and counters of the batch's partitions, in the current transaction,
 * whose commit carries the batch's whole outcome. Every event must have its outcome.
 */
extern void mr_settle(const MrDefinition *definition, MrBatch *batch);

#endif /* MR_SETTLE_H */
