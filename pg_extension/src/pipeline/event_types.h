/*
 * event_types.h: the types of a pipeline's events (its type_field), and how many events of each there were.
 *
 * A type gets a number when it appears first and keeps it, so that no counter ever falls: millrace.event_type has the names. The
 * counters, in millrace.event_type_count, are part of each batch's commit. Workers do not wait for each other: each
 * transaction adds to the rows of a stream that no other one has meanwhile; a counter is the sum over the streams.
 */
#ifndef MR_EVENT_TYPES_H
#define MR_EVENT_TYPES_H

#include "postgres.h"

#include "pipeline/partition.h"

typedef struct MrEventTypes MrEventTypes;

/* In the current memory context. */
extern MrEventTypes *mr_event_types_create(int32 pipeline_id);

/* A batch begins: nothing is counted yet. What a transaction that was rolled back has left is forgotten. */
extern void mr_event_types_begin(MrEventTypes *types);

/*
 * What the batch adds to the counters of a type; name NULL: of the events without one. A new name is recorded, for which another
 * worker that records one, too, is waited for until its commit.
 */
extern MrCounters *mr_event_types_counters(MrEventTypes *types, const char *name, int length);

/* Writes what was added, in the current transaction. */
extern void mr_event_types_settle(MrEventTypes *types);

#endif /* MR_EVENT_TYPES_H */
