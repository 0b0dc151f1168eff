/*
 * settle.c: see settle.h. Runs in workers; the locks of all the batch's partitions are held.
 */
#include "engine/settle.h"

#include "access/table.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "server/catalog.h"
#include "pipeline/ledger.h"
#include "fail/dead_letter.h"
#include "fail/order.h"
#include "fail/retry.h"
#include "fail/verdict.h"

/* The counter of an outcome. */
static int64 *
counter(MrCounters *total, const MrEvent *event)
{
	switch ((MrOutcomeState) event->outcome.state)
	{
		case MR_WRITTEN:
			return &total->written;
		case MR_FILTERED:
			return &total->filtered;
		case MR_SUPERSEDED:
			return &total->superseded;
		case MR_SKIPPED:
			return &total->skipped;
		case MR_DEAD:
			return &total->dead;
		case MR_RETRYING:
		case MR_PARKED:
			return &total->retrying;
		case MR_PENDING:
		case MR_FAILED:
		case MR_DISCARDED:
			break;
	}
	elog(ERROR, "event %d:%lld has no outcome", event->partition, (long long) event->offset);
}

/* An event moves to its counter: from nowhere, from `retrying`, or (a replay) from `dead`. */
static void
count(MrPartition *partition, const MrEvent *event)
{
	MrCounters *total = &partition->total;
	bool replay = event->retry != NULL && event->retry->replay_of != 0;

	if (event->outcome.state == MR_DISCARDED)
		return; /* stays a dead letter */
	if (replay && (event->outcome.state == MR_RETRYING || event->outcome.state == MR_PARKED))
		return; /* stays one until it ends */
	(*counter(total, event))++;
	if (event->retry != NULL)
	{
		(*(replay ? &total->dead : &total->retrying))--;
		return;
	}
	total->events++;
	if (event->payload != NULL)
		total->bytes += VARSIZE_ANY_EXHDR(event->payload);
}

/* What only grows: failures, and what was tried again. An event that waits, or is discarded, was not tried. */
static void
count_tries(MrCounters *total, const MrEvent *event)
{
	bool replay = event->retry != NULL && event->retry->replay_of != 0;
	bool again = mr_event_is_tried_again(event);
	bool failed = event->outcome.state == MR_RETRYING || event->outcome.state == MR_DEAD;

	if (!mr_event_is_tried(event))
		return;
	total->retried += again;
	total->failed += failed && !again;
	total->dead_lettered += event->outcome.state == MR_DEAD;
	total->replayed += replay && !failed;
}

static void
settle_event(const MrDefinition *definition, const MrEvent *event, Relation dead_letters,
			 TimestampTz now)
{
	if (event->outcome.state == MR_DISCARDED)
	{
		mr_retry_remove(event);
		return;
	}
	if (event->outcome.state == MR_RETRYING)
	{
		mr_retry_put(definition, event, now, mr_verdict_next_try(definition, event, now));
		return;
	}
	if (event->outcome.state == MR_PARKED)
	{
		mr_retry_park(definition, event);
		return;
	}
	if (event->outcome.state == MR_DEAD)
	{
		int64 id = mr_dead_letter_put(dead_letters, definition, event, now);

		if (id != 0 && mr_order_holds(definition, event))
		{
			mr_retry_hold(definition, event, id);
			return;
		}
	}
	else if (event->retry != NULL && event->retry->replay_of != 0)
		mr_dead_letter_replayed(dead_letters, event, now);
	if (event->retry != NULL)
		mr_retry_remove(event);
}

static void
settle_events(const MrDefinition *definition, MrBatch *batch)
{
	Relation dead_letters = mr_catalog_open("dead_letter", RowExclusiveLock);
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < batch->nevents; i++)
	{
		MrEvent *event = &batch->events[i];

		if (i % 256 == 0)
			CHECK_FOR_INTERRUPTS();
		if (event->outcome.state == MR_DEAD || event->outcome.state == MR_RETRYING ||
			event->outcome.state == MR_PARKED || event->retry != NULL)
			settle_event(definition, event, dead_letters, now);
	}
	table_close(dead_letters, NoLock);
}

void
mr_settle(const MrDefinition *definition, MrBatch *batch)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	settle_events(definition, batch);
	mr_order_release(definition, batch);
	for (int i = 0; i < batch->nevents; i++)
	{
		MrPartition *partition = mr_event_partition(batch, &batch->events[i]);

		count(partition, &batch->events[i]);
		count_tries(&partition->total, &batch->events[i]);
		partition->moved = true;
	}
	for (int i = 0; i < batch->nrows; i++)
		if (batch->rows[i].written)
			mr_event_partition(batch, &batch->events[batch->rows[i].event])->total.rows++;
	if (batch->ledger != NULL)
		mr_ledger_settle(batch->ledger, batch->partitions, batch->npartitions);
	else
		mr_partitions_settle(definition->pipeline_id, batch->partitions, batch->npartitions);
	MemoryContextSwitchTo(old);
}
