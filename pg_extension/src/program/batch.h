/*
 * batch.h: the events of one batch on their way through decode, transform, write and settle.
 *
 * Lives in a worker, in a memory context of its own that is emptied when the batch is settled.
 */
#ifndef MR_BATCH_H
#define MR_BATCH_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "storage/itemptr.h"
#include "utils/jsonb.h"

#include "common/staging_format.h"
#include "server/failure.h"
#include "pipeline/partition.h"
#include "staging/ring.h"
#include "program/limits.h"
#include "program/outcome.h"

/*
 * Subtransactions that wrote and were released count until the transaction ends; from the 65th on they slow every
 * backend. A batch that needs more is given back and comes again in smaller parts, each with its own commit.
 */
#define MR_SUBTRANSACTIONS_MAX 50

/* The row of millrace.retry that an event comes from when it was not read from a lane. */
typedef struct MrRetryRow
{
	int64 retry_id;
	ItemPointerData tid;
	int32
		document; /* as the row has it: 0 also where the event is the first document of its message */
	int64 replay_of;             /* dead letter it is a replay of, 0 none */
	int attempts;                /* tries that failed */
	TimestampTz next_at;         /* when this try was due; infinity: when others were */
	TimestampTz first_failed_at; /* or since when it is parked */
	TimestampTz entered_at;      /* since when it waits, failed or parked */
	Jsonb *history;              /* array of {at, stage, sqlstate, message} */
	bool parked;                 /* was not tried yet */
	bool in_queue;               /* of order_key */
	int64 order_key;
} MrRetryRow;

typedef struct MrEvent
{
	int64 offset;
	int64 kafka_ts; /* ms since 1970, -1 none */
	int32 partition;
	int32 document;   /* its number in the message, from 1; 0: it is the message (documents.h) */
	int16 kind;       /* bits MR_KIND_* */
	bool queued;      /* joined the queue of its key when it was admitted (order.c) */
	bool deletes;     /* a tombstone that deletes a row: `values` is its conflict key */
	bool has_effects; /* what the transform wrote may be for it (transform.h) */
	bool of_counted;  /* a document of a message whose bytes were counted before */
	bool of_tried;    /* and which was tried before: those of its type, too */
	int place;  /* of its partition in MrBatch.partitions, probably: see mr_event_partition() */
	bytea *key; /* NULL: none; never toasted, maybe with a short header */
	bytea *headers;
	bytea *payload;
	int rows;    /* rows the transform gave, later those that count */
	int crashes; /* of the server, with this event alone: it is not run again (crash.h) */
	Datum *values;
	bool *isnull;
	Bitmapset *left_out; /* fields whose old value the row keeps (keep.h); NULL: none */
	MrOutcome outcome;
	MrRetryRow *retry; /* NULL: comes from a lane, this is its first try */
} MrEvent;

/* A row the transform gave. Its tuple has the columns of the target's insert list, then the row's number. */
typedef struct MrRow
{
	int event;         /* index into events */
	int superseded_by; /* row of the same conflict key that takes its place, -1 none */
	bool dropped;      /* gives way to another row, or its event failed */
	bool deletes;      /* the row of its conflict key, instead of writing it */
	bool written;
	MinimalTuple tuple;
} MrRow;

/* What one COPY staged. */
typedef struct MrStagedBatch
{
	int64 id;
	int first; /* its events in MrBatch.events */
	int count;
	int64 bytes; /* of their payloads */
	int admitted; /* of these, the ones that continue their partition; they follow those of the staged batch before */
	MrStagedAt staged_at; /* its commit, all 0 when that is not known any more */
	int nparts;
	MrStagedPart *parts;
	bool refused; /* not whole: its events do not count, its partitions are to be fetched again */
	bool unreadable;     /* so is the trailer: parts are those of its rows, of unknown epochs */
	ItemPointerData end; /* TID of the trailer */
} MrStagedBatch;

typedef struct MrBatch
{
	MemoryContext context;
	int64 bytes; /* of its events, see mr_event_bytes() */
	int nevents;
	int max_events;
	MrEvent *events;
	int nstaged;
	int max_staged;
	int nsettled; /* staged batches done with: all, or those before the cut */
	MrStagedBatch *staged;
	int npartitions;
	int max_partitions;
	struct MrLedger *ledger; /* has their state (pipeline/ledger.h); NULL: millrace.progress has */
	MrPartition *partitions; /* those touched, ascending; position and totals as they will be */
	int nrows;
	int max_rows;
	MrRow *rows;
	int64 row_bytes;     /* memory of the rows and their tuples */
	int neffects;        /* subtransactions in which the transform wrote something */
	MrFilling tail;      /* what was read from */
	ItemPointerData end; /* the lane's cursor once this is settled */
	bool segment_done;
	bool divisible;  /* can be given back, to come again in smaller parts */
	bool given_back; /* by mr_batch_give_back(): the error that is under way is nobody's fault */
	MrLimits limits; /* of the attempts to transform and to write it */
	struct MrSuspicions *suspicions; /* crash.h; NULL: none */
	/* By stage: some event passed it, if only at first (verdict.c). */
	bool passed[MR_STAGES];
	/* Events that failed with class `break` for the first time, where none passed; the last of them (verdict.c). */
	int nlone;
	const struct MrFailure *lone;
} MrBatch;

extern MrBatch *mr_batch_create(MemoryContext parent);
extern void mr_batch_reset(MrBatch *batch);

/* One more, zeroed, at the end of the array. */
extern MrEvent *mr_batch_add_event(MrBatch *batch);
extern MrStagedBatch *mr_batch_add_staged(MrBatch *batch);

/* One more row of an event; its tuple, in the memory context of the batch, belongs to the batch then. */
extern void mr_batch_add_row(MrBatch *batch, int event, MinimalTuple tuple);

/* Frees the rows from that number on; their events have none then. */
extern void mr_batch_remove_rows(MrBatch *batch, int from);

/*
 * Raises an error by which the batch is rolled back, to come again in smaller parts; returns when that cannot be. The
 * flag is what counts, not the SQLSTATE: a user's function can raise any.
 */
extern void mr_batch_give_back(MrBatch *batch, const char *reason);

/* Nothing of it takes effect in this batch: it failed, or waits behind one that did. Known after the verdict. */
static inline bool
mr_event_is_left_out(const MrEvent *event)
{
	return event->outcome.state == MR_DEAD || event->outcome.state == MR_RETRYING ||
		   event->outcome.state == MR_PARKED;
}

/* Whether it runs in this batch. */
static inline bool
mr_event_is_tried(const MrEvent *event)
{
	return event->outcome.state != MR_PARKED && event->outcome.state != MR_DISCARDED;
}

/* What it takes as it was staged. */
static inline int64
mr_event_bytes(const MrEvent *event)
{
	return (event->key != NULL ? (int64) VARSIZE_ANY(event->key) : 0) +
		   (event->headers != NULL ? (int64) VARSIZE_ANY(event->headers) : 0) +
		   (event->payload != NULL ? (int64) VARSIZE_ANY(event->payload) : 0);
}

/* Whether this try follows one that failed: of this event, or of the dead letter that it replays. */
static inline bool
mr_event_is_tried_again(const MrEvent *event)
{
	return mr_event_is_tried(event) && event->retry != NULL &&
		   (event->retry->replay_of != 0 || event->retry->attempts > 0);
}

/* The entry of a partition, NULL when the batch has none of it. */
extern MrPartition *mr_batch_partition(const MrBatch *batch, int32 partition);

/*
 * The entry of an event's partition, which the batch has. Its place is only a hint, so that it is found at once where the
 * partitions have not changed since.
 */
static inline MrPartition *
mr_event_partition(const MrBatch *batch, const MrEvent *event)
{
	if (likely(event->place < batch->npartitions &&
			   batch->partitions[event->place].partition == event->partition))
		return &batch->partitions[event->place];
	return mr_batch_partition(batch, event->partition);
}

/* The order of Kafka coordinates. */
static inline int
mr_event_compare(const MrEvent *a, const MrEvent *b)
{
	if (a->partition != b->partition)
		return a->partition < b->partition ? -1 : 1;
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/*
 * Kafka's timestamps are milliseconds since 1970, and producers may make up any. False: none (-1), or out of
 * the range of PostgreSQL's.
 */
extern bool mr_timestamp_from_unix_ms(int64 ms, TimestampTz *timestamp);

/* The way back, of a finite one. */
extern int64 mr_timestamp_to_unix_ms(TimestampTz timestamp);

#endif /* MR_BATCH_H */
