/*
 * settle.c: see settle.h. Runs in workers; the locks of all the batch's partitions are held.
 */
#include "engine/settle.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "server/catalog_writer.h"
#include "pipeline/event_types.h"
#include "pipeline/ledger.h"
#include "program/type_field.h"
#include "fail/dead_letter.h"
#include "fail/order.h"
#include "fail/retry.h"
#include "fail/verdict.h"
#include "engine/tally.h"

#define TYPE_AHEAD 8 /* events for whose types memory is asked early */

static void
settle_event(const MrDefinition *definition, const MrEvent *event, MrCatalogWriter *letters,
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
		int64 id = mr_dead_letter_put(letters, definition, event, now);

		if (id != 0 && mr_order_holds(definition, event))
		{
			mr_retry_hold(definition, event, id);
			return;
		}
	}
	else if (event->retry != NULL && event->retry->replay_of != 0)
		mr_dead_letter_replayed(letters, event, now);
	if (event->retry != NULL)
		mr_retry_remove(event);
}

static void
settle_events(const MrDefinition *definition, MrBatch *batch)
{
	MrCatalogWriter letters;
	TimestampTz now = GetCurrentTimestamp();

	mr_catalog_writer_open(&letters, "dead_letter");
	for (int i = 0; i < batch->nevents; i++)
	{
		MrEvent *event = &batch->events[i];

		if (i % 256 == 0)
			CHECK_FOR_INTERRUPTS();
		if (event->outcome.state == MR_DEAD || event->outcome.state == MR_RETRYING ||
			event->outcome.state == MR_PARKED || event->retry != NULL)
			settle_event(definition, event, &letters, now);
	}
	mr_catalog_writer_close(&letters);
}

static void
tally_type(MrEventTypes *types, MrTypeField *field, const MrEvent *event)
{
	int length = 0;
	const char *name = mr_type_field_read(field, event, &length);

	mr_tally_by_type(mr_event_types_counters(types, name, length), event);
}

void
mr_settle(MrProgram *program, MrBatch *batch)
{
	const MrDefinition *definition = program->definition;
	MrEventTypes *types = batch->nevents > 0 ? program->event_types : NULL;
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	if (types != NULL)
		mr_event_types_begin(types);
	settle_events(definition, batch);
	mr_dead_letters_count_ended(definition->pipeline_id, batch);
	mr_order_release(definition, batch);
	for (int i = 0; i < batch->nevents; i++)
	{
		MrPartition *partition = mr_event_partition(batch, &batch->events[i]);

		mr_tally(&partition->total, &batch->events[i]);
		partition->moved = true;
		if (types != NULL)
		{
			if (i + TYPE_AHEAD < batch->nevents)
				mr_type_field_prefetch(program->type_field, &batch->events[i + TYPE_AHEAD]);
			tally_type(types, program->type_field, &batch->events[i]);
		}
	}
	for (int i = 0; i < batch->nrows; i++)
		if (batch->rows[i].written)
			mr_event_partition(batch, &batch->events[batch->rows[i].event])->total.rows++;
	if (batch->ledger != NULL)
		mr_ledger_settle(batch->ledger, batch->partitions, batch->npartitions);
	else
		mr_partitions_settle(definition->pipeline_id, batch->partitions, batch->npartitions);
	if (types != NULL)
		mr_event_types_settle(types);
	MemoryContextSwitchTo(old);
}
