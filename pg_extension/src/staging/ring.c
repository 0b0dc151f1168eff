/*
 * ring.c: see ring.h. Called by the ingestor's backends (head side) and by workers (tail side).
 */
#include "staging/ring.h"

#include "miscadmin.h"

static MrSegment *
find(MrLane *lane, Oid relation)
{
	for (int i = 0; i < lane->nsegments; i++)
		if (lane->segments[i].relation == relation)
			return &lane->segments[i];
	return NULL;
}

/* The segment while that filling of it lasts, else NULL. */
static MrSegment *
find_filling(MrLane *lane, const MrFilling *filling)
{
	MrSegment *segment =
		lane->generation == filling->generation ? find(lane, filling->relation) : NULL;

	return segment != NULL && segment->number == filling->number ? segment : NULL;
}

static MrSegment *
in_state(MrLane *lane, MrSegmentState state)
{
	for (int i = 0; i < lane->nsegments; i++)
		if (lane->segments[i].state == state)
			return &lane->segments[i];
	return NULL;
}

static bool
holds_events(const MrSegment *segment)
{
	return segment->state == MR_SEGMENT_FILLING || segment->state == MR_SEGMENT_SEALED;
}

/* The segment the reader is in: the one with the tail's number, or the oldest with events. */
static MrSegment *
tail_segment(MrLane *lane)
{
	MrSegment *oldest = NULL;

	for (int i = 0; i < lane->nsegments; i++)
	{
		MrSegment *segment = &lane->segments[i];

		if (holds_events(segment) && (oldest == NULL || segment->number < oldest->number))
			oldest = segment;
	}
	return oldest;
}

void
mr_ring_add(MrLane *lane, Oid relation)
{
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	if (find(lane, relation) == NULL && lane->nsegments < MR_SEGMENTS_MAX)
	{
		MrSegment *segment = &lane->segments[lane->nsegments++];

		segment->relation = relation;
		segment->state = MR_SEGMENT_FREE;
		segment->number = 0;
	}
	LWLockRelease(mr_shared->lock);
}

int
mr_ring_members(MrLane *lane, Oid *relations)
{
	int n;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	n = lane->nsegments;
	for (int i = 0; i < n; i++)
		relations[i] = lane->segments[i].relation;
	LWLockRelease(mr_shared->lock);
	return n;
}

Oid
mr_ring_head(MrLane *lane)
{
	MrSegment *head;
	Oid relation;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	head = in_state(lane, MR_SEGMENT_FILLING);
	relation = head ? head->relation : InvalidOid;
	LWLockRelease(mr_shared->lock);
	return relation;
}

Oid
mr_ring_next(MrLane *lane, int limit, bool *limited)
{
	Oid relation = InvalidOid;
	MrSegment *head;
	MrSegment *next;
	int holding = 0;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < lane->nsegments; i++)
		holding += holds_events(&lane->segments[i]) ? 1 : 0;
	*limited = holding >= limit;
	head = in_state(lane, MR_SEGMENT_FILLING);
	next = in_state(lane, MR_SEGMENT_FREE);
	if (!*limited && next != NULL)
	{
		if (head != NULL)
			head->state = MR_SEGMENT_SEALED;
		next->state = MR_SEGMENT_FILLING;
		next->number = ++lane->next_number;
		relation = next->relation;
	}
	LWLockRelease(mr_shared->lock);
	return relation;
}

bool
mr_ring_tail(MrLane *lane, int32 pipeline_id, MrFilling *tail, ItemPointer cursor, bool *sealed)
{
	MrSegment *segment = NULL;

	memset(tail, 0, sizeof(*tail));
	*sealed = false;
	LWLockAcquire(mr_shared->lock, LW_SHARED);
	if (lane->database == MyDatabaseId && lane->pipeline_id == pipeline_id)
	{
		tail->generation = lane->generation;
		tail->lane_id = lane->lane_id;
		segment = tail_segment(lane);
	}
	if (segment != NULL)
	{
		tail->relation = segment->relation;
		tail->number = segment->number;
		*sealed = segment->state == MR_SEGMENT_SEALED;
		if (segment->number == lane->tail_number)
			*cursor = lane->cursor;
		else
			ItemPointerSet(cursor, 0, 0);
	}
	LWLockRelease(mr_shared->lock);
	return segment != NULL;
}

MrStagedAmount
mr_ring_staged(MrLane *lane)
{
	MrStagedAmount staged;

	/* the writer counts the batch last, so that its events are known when it is */
	staged.events = pg_atomic_read_u64(&lane->staged_events);
	staged.bytes = pg_atomic_read_u64(&lane->staged_bytes);
	pg_read_barrier();
	staged.batches = pg_atomic_read_u64(&lane->staged);
	return staged;
}

/* A reader may be done with a batch before its writer has counted it. */
static uint64
difference(uint64 staged, pg_atomic_uint64 *consumed)
{
	uint64 done = pg_atomic_read_u64(consumed);

	return staged > done ? staged - done : 0;
}

MrStagedAmount
mr_ring_waiting(MrLane *lane)
{
	MrStagedAmount staged = mr_ring_staged(lane);

	return (MrStagedAmount){.batches = difference(staged.batches, &lane->consumed),
							.events = difference(staged.events, &lane->consumed_events),
							.bytes = difference(staged.bytes, &lane->consumed_bytes)};
}

void
mr_ring_advance(MrLane *lane, const MrFilling *tail, const ItemPointerData *cursor,
				const MrStagedAmount *settled)
{
	MrSegment *segment;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	segment = find_filling(lane, tail);
	if (segment != NULL && holds_events(segment) && ItemPointerIsValid(cursor))
	{
		lane->tail_number = segment->number;
		lane->cursor = *cursor;
	}
	if (lane->generation == tail->generation)
	{
		pg_atomic_fetch_add_u64(&lane->consumed, settled->batches);
		pg_atomic_fetch_add_u64(&lane->consumed_events, settled->events);
		pg_atomic_fetch_add_u64(&lane->consumed_bytes, settled->bytes);
	}
	LWLockRelease(mr_shared->lock);
}

static void
set_consumed(MrLane *lane, MrStagedAmount amount)
{
	pg_atomic_write_u64(&lane->consumed, amount.batches);
	pg_atomic_write_u64(&lane->consumed_events, amount.events);
	pg_atomic_write_u64(&lane->consumed_bytes, amount.bytes);
}

void
mr_ring_drained(MrLane *lane, const MrFilling *tail, const MrStagedAmount *staged)
{
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	if (lane->generation == tail->generation)
		set_consumed(lane, *staged);
	LWLockRelease(mr_shared->lock);
}

void
mr_ring_finish_tail(MrLane *lane, const MrFilling *tail)
{
	MrSegment *segment;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	segment = find_filling(lane, tail);
	if (segment != NULL && segment->state == MR_SEGMENT_SEALED)
		segment->state = MR_SEGMENT_CONSUMED;
	LWLockRelease(mr_shared->lock);
}

bool
mr_ring_consumed(MrLane *lane, uint64 generation, int *i, MrFilling *consumed)
{
	bool found = false;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	while (lane->generation == generation && *i < lane->nsegments && !found)
	{
		MrSegment *segment = &lane->segments[(*i)++];

		found = segment->state == MR_SEGMENT_CONSUMED;
		consumed->generation = generation;
		consumed->number = segment->number;
		consumed->relation = segment->relation;
	}
	LWLockRelease(mr_shared->lock);
	return found;
}

bool
mr_ring_is_consumed(MrLane *lane, const MrFilling *consumed)
{
	MrSegment *segment;
	bool result;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	segment = find_filling(lane, consumed);
	result = segment != NULL && segment->state == MR_SEGMENT_CONSUMED;
	LWLockRelease(mr_shared->lock);
	return result;
}

void
mr_ring_emptied(MrLane *lane, const MrFilling *consumed)
{
	MrSegment *segment;
	Latch *writer = NULL;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	segment = find_filling(lane, consumed);
	if (segment != NULL && segment->state == MR_SEGMENT_CONSUMED)
	{
		segment->state = MR_SEGMENT_FREE;
		writer = lane->writer_latch;
	}
	LWLockRelease(mr_shared->lock);
	if (writer != NULL)
		SetLatch(writer);
}

void
mr_ring_remove(MrLane *lane, uint64 generation, Oid relation)
{
	MrSegment *segment;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	segment = lane->generation == generation ? find(lane, relation) : NULL;
	if (segment != NULL)
		*segment = lane->segments[--lane->nsegments];
	LWLockRelease(mr_shared->lock);
}

void
mr_ring_abandon(MrLane *lane)
{
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < lane->nsegments; i++)
		if (holds_events(&lane->segments[i]))
			lane->segments[i].state = MR_SEGMENT_CONSUMED;
	mr_ring_skip(lane);
	LWLockRelease(mr_shared->lock);
}

void
mr_ring_skip(MrLane *lane)
{
	set_consumed(lane, mr_ring_staged(lane));
}
