/*
 * event_time.c: see event_time.h. Runs in workers and, rolled back, in the sessions of dry_run().
 */
#include "window/event_time.h"

#include "utils/timestamp.h"

#include "server/row_receiver.h"

static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	MrEventTime *time = (MrEventTime *) self;
	bool isnull;
	Datum at = slot_getattr(slot, 1, &isnull);

	mr_event_time_note(time, mr_plan_current(time->plan), at, isnull);
	return true;
}

MrEventTime *
mr_event_time_create(const MrProgram *program, const char *relation, const char *path,
					 const MrWindowDefinition *definition)
{
	MrEventTime *time = palloc0(sizeof(MrEventTime));

	time->pub = mr_row_receiver(receive);
	time->definition = definition;
	time->plan = mr_plan_create(psprintf("SELECT %s FROM %s", definition->at, relation), relation,
								program->stored, program->stored_full, program->definition->target,
								NULL, NULL);
	mr_plan_set_path(time->plan, path);
	return time;
}

bool
mr_event_time_serves(const MrEventTime *time, const MrWindowDefinition *definition)
{
	return strcmp(time->definition->at, definition->at) == 0 &&
		   time->definition->max_skew_us == definition->max_skew_us;
}

void
mr_event_time_begin(MrEventTime *time, const MrBatch *batch)
{
	time->batch = batch;
	time->until = GetCurrentTimestamp() + time->definition->max_skew_us;
	time->skewed = 0;
	time->highs = palloc(Max(batch->npartitions, 1) * sizeof(TimestampTz));
	for (int i = 0; i < batch->npartitions; i++)
		time->highs[i] = DT_NOBEGIN;
	time->low = DT_NOBEGIN;
}

static void
raise_high(MrEventTime *time, int place, TimestampTz at)
{
	bool was_lowest = time->highs[place] == time->low;

	time->highs[place] = at;
	if (!was_lowest)
		return;
	time->low = at;
	for (int i = 0; i < time->batch->npartitions; i++)
		time->low = Min(time->low, time->highs[i]);
}

void
mr_event_time_note(MrEventTime *time, int row, Datum value, bool isnull)
{
	const MrBatch *batch = time->batch;
	TimestampTz at = DatumGetTimestampTz(value);
	const MrPartition *partition;

	if (row < 0 || row >= batch->nrows)
		elog(ERROR, "an event time is of no known row");
	/* rows and events lie in memory in another order: they are looked at only for a time that may be one of the highest */
	if (isnull || TIMESTAMP_NOT_FINITE(at) || (at <= time->low && at <= time->until))
		return;
	partition = mr_event_partition(batch, &batch->events[batch->rows[row].event]);
	if (at > time->until)
		time->skewed++;
	else if (partition != NULL && at > time->highs[partition - batch->partitions])
		raise_high(time, (int) (partition - batch->partitions), at);
}
