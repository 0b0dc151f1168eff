/*
 * ring.c: see ring.h. Called by the ingestor's backends (head side) and by workers (tail side).
 */
#include "ring.h"

static MrSegment *
find(MrLane *lane, Oid relation)
{
	for (int i = 0; i < lane->nsegments; i++)
		if (lane->segments[i].relation == relation)
			return &lane->segments[i];
	return NULL;
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

/* The segment the reader is in: the one with the tail's order, or the oldest with events. */
static MrSegment *
tail_segment(MrLane *lane)
{
	MrSegment *oldest = NULL;

	for (int i = 0; i < lane->nsegments; i++)
	{
		MrSegment *segment = &lane->segments[i];

		if (holds_events(segment) && (oldest == NULL || segment->order < oldest->order))
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
		segment->order = 0;
	}
	LWLockRelease(mr_shared->lock);
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
		next->order = ++lane->next_order;
		relation = next->relation;
	}
	LWLockRelease(mr_shared->lock);
	return relation;
}

Oid
mr_ring_tail(MrLane *lane, ItemPointer cursor, bool *sealed)
{
	Oid relation = InvalidOid;
	MrSegment *tail;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	tail = tail_segment(lane);
	if (tail != NULL)
	{
		relation = tail->relation;
		*sealed = tail->state == MR_SEGMENT_SEALED;
		if (tail->order == lane->tail_order)
			*cursor = lane->cursor;
		else
			ItemPointerSet(cursor, 0, 0);
	}
	LWLockRelease(mr_shared->lock);
	return relation;
}

void
mr_ring_advance(MrLane *lane, Oid relation, const ItemPointerData *cursor)
{
	MrSegment *segment;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	segment = find(lane, relation);
	/* Unless a new writer has abandoned the segment meanwhile. */
	if (segment != NULL && holds_events(segment))
	{
		lane->tail_order = segment->order;
		lane->cursor = *cursor;
	}
	LWLockRelease(mr_shared->lock);
}

void
mr_ring_finish_tail(MrLane *lane, Oid relation)
{
	MrSegment *segment;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	segment = find(lane, relation);
	if (segment != NULL && segment->state == MR_SEGMENT_SEALED)
		segment->state = MR_SEGMENT_CONSUMED;
	LWLockRelease(mr_shared->lock);
}

Oid
mr_ring_consumed(MrLane *lane, int *i)
{
	Oid relation = InvalidOid;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	while (*i < lane->nsegments && !OidIsValid(relation))
	{
		if (lane->segments[*i].state == MR_SEGMENT_CONSUMED)
			relation = lane->segments[*i].relation;
		(*i)++;
	}
	LWLockRelease(mr_shared->lock);
	return relation;
}

void
mr_ring_emptied(MrLane *lane, Oid relation)
{
	MrSegment *segment;
	Latch *writer;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	segment = find(lane, relation);
	if (segment != NULL && segment->state == MR_SEGMENT_CONSUMED)
		segment->state = MR_SEGMENT_FREE;
	writer = lane->writer_latch;
	LWLockRelease(mr_shared->lock);
	if (writer != NULL)
		SetLatch(writer);
}

void
mr_ring_remove(MrLane *lane, Oid relation)
{
	MrSegment *segment;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	segment = find(lane, relation);
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
	LWLockRelease(mr_shared->lock);
}
