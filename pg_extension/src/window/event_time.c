/*
 * event_time.c: see event_time.h. Runs in workers and, rolled back, in the sessions of dry_run().
 */
#include "window/event_time.h"

#include "utils/timestamp.h"

#include "server/row_receiver.h"

/*
 * Rows come in the order in which they were written, which is not that of the rows and events in memory: where most rows of the batch
 * come, their partitions are looked up in the end, in the order of memory. Of fewer than one in so many they are at once.
 */
#define FEW_ROWS 4

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
mr_event_time_begin(MrEventTime *time, const MrBatch *batch, int nrows)
{
	time->batch = batch;
	time->until = GetCurrentTimestamp() + time->definition->max_skew_us;
	time->skewed = 0;
	time->highs = palloc(Max(batch->npartitions, 1) * sizeof(TimestampTz));
	for (int i = 0; i < batch->npartitions; i++)
		time->highs[i] = DT_NOBEGIN;
	time->of_rows = NULL;
	if (nrows < batch->nrows / FEW_ROWS)
		return;
	time->of_rows =
		MemoryContextAllocHuge(CurrentMemoryContext, Max(batch->nrows, 1) * sizeof(TimestampTz));
	for (int i = 0; i < batch->nrows; i++)
		time->of_rows[i] = DT_NOBEGIN;
}

static void
raise_high(MrEventTime *time, int row, TimestampTz at)
{
	const MrBatch *batch = time->batch;
	const MrPartition *partition =
		mr_event_partition(batch, &batch->events[batch->rows[row].event]);

	if (partition != NULL && at > time->highs[partition - batch->partitions])
		time->highs[partition - batch->partitions] = at;
}

void
mr_event_time_note(MrEventTime *time, int row, Datum value, bool isnull)
{
	TimestampTz at;

	if (row < 0 || row >= time->batch->nrows)
		elog(ERROR, "an event time is of no known row");
	if (isnull)
		return;
	at = DatumGetTimestampTz(value);
	if (TIMESTAMP_NOT_FINITE(at))
		return;
	if (at > time->until)
		time->skewed++;
	else if (time->of_rows == NULL)
		raise_high(time, row, at);
	else
		time->of_rows[row] = Max(time->of_rows[row], at);
}

void
mr_event_time_end(MrEventTime *time)
{
	if (time->of_rows == NULL)
		return;
	for (int i = 0; i < time->batch->nrows; i++)
		if (!TIMESTAMP_IS_NOBEGIN(time->of_rows[i]))
			raise_high(time, i, time->of_rows[i]);
	pfree(time->of_rows);
	time->of_rows = NULL;
}
