/*
 * dead_letter.h: an event that could not become rows, kept with its bytes and the reason.
 */
#ifndef MR_DEAD_LETTER_H
#define MR_DEAD_LETTER_H

#include "server/catalog_writer.h"
#include "pipeline/pipeline.h"
#include "program/batch.h"

/*
 * Records one in millrace.dead_letter (open as letters): inserted, or for a replay that failed, open again with
 * one replay more. `now` is the time it has in each of its records. Returns its id; 0: the one replayed is no longer there.
 */
extern int64 mr_dead_letter_put(MrCatalogWriter *letters, const MrDefinition *definition,
								const MrEvent *event, TimestampTz now);

/* The replay of a dead letter succeeded. */
extern void mr_dead_letter_replayed(MrCatalogWriter *letters, const MrEvent *event,
									TimestampTz now);

/*
 * After the replays of a batch were settled: those that ended are not set aside any more (millrace.dead_letter_aside), by
 * partition. In a batch without one nothing is written.
 */
extern void mr_dead_letters_count_ended(int32 pipeline_id, const MrBatch *batch);

#endif /* MR_DEAD_LETTER_H */
