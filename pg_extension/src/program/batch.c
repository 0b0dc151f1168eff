/*
 * batch.c: the arrays of a batch, see batch.h.
 */
#include "program/batch.h"

#include "datatype/timestamp.h"
#include "utils/memutils.h"

#include "server/errcode.h"

MrBatch *
mr_batch_create(MemoryContext parent)
{
	MrBatch *batch = MemoryContextAllocZero(parent, sizeof(MrBatch));

	batch->context =
		AllocSetContextCreate(parent, "millrace batch", 0, 1024 * 1024, 8 * 1024 * 1024);
	return batch;
}

void
mr_batch_reset(MrBatch *batch)
{
	MemoryContext context = batch->context;

	MemoryContextReset(context);
	memset(batch, 0, sizeof(*batch));
	batch->context = context;
}

/* Room for one more element; arrays grow by doubling. */
static void *
grow(MemoryContext context, void *array, int *max, int n, Size size)
{
	if (n < *max)
		return array;
	*max = Max(64, *max * 2);
	if (array == NULL)
		return MemoryContextAllocHuge(context, *max * size);
	return repalloc_huge(array, *max * size);
}

MrEvent *
mr_batch_add_event(MrBatch *batch)
{
	MrEvent *event;

	batch->events =
		grow(batch->context, batch->events, &batch->max_events, batch->nevents, sizeof(MrEvent));
	event = &batch->events[batch->nevents++];
	memset(event, 0, sizeof(*event));
	return event;
}

MrStagedBatch *
mr_batch_add_staged(MrBatch *batch)
{
	MrStagedBatch *staged;

	batch->staged = grow(batch->context, batch->staged, &batch->max_staged, batch->nstaged,
						 sizeof(MrStagedBatch));
	staged = &batch->staged[batch->nstaged++];
	memset(staged, 0, sizeof(*staged));
	return staged;
}

static int64
bytes_of(const MrRow *row)
{
	return (int64) sizeof(MrRow) + row->tuple->t_len;
}

void
mr_batch_add_row(MrBatch *batch, int event, MinimalTuple tuple)
{
	MrRow *row;

	batch->rows = grow(batch->context, batch->rows, &batch->max_rows, batch->nrows, sizeof(MrRow));
	row = &batch->rows[batch->nrows++];
	memset(row, 0, sizeof(*row));
	row->superseded_by = -1;
	row->event = event;
	row->tuple = tuple;
	batch->events[event].rows++;
	batch->row_bytes += bytes_of(row);
}

void
mr_batch_remove_rows(MrBatch *batch, int from)
{
	while (batch->nrows > from)
	{
		MrRow *row = &batch->rows[--batch->nrows];

		batch->events[row->event].rows = 0;
		batch->row_bytes -= bytes_of(row);
		pfree(row->tuple);
	}
}

void
mr_batch_give_back(MrBatch *batch, const char *reason)
{
	if (!batch->divisible)
		return;
	batch->given_back = true;
	ereport(ERROR, (errcode(MR_ERRCODE_SPLIT), errmsg_internal("%s", reason)));
}

MrPartition *
mr_batch_partition(const MrBatch *batch, int32 partition)
{
	int low = 0;
	int high = batch->npartitions - 1;

	while (low <= high)
	{
		int middle = (low + high) / 2;

		if (batch->partitions[middle].partition == partition)
			return &batch->partitions[middle];
		if (batch->partitions[middle].partition < partition)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return NULL;
}

/* Of PostgreSQL's epoch, by Kafka's count. */
#define EPOCH_MS ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000)

bool
mr_timestamp_from_unix_ms(int64 ms, TimestampTz *timestamp)
{
	if (ms < 0 || ms >= END_TIMESTAMP / 1000 + EPOCH_MS)
		return false;
	*timestamp = (ms - EPOCH_MS) * 1000;
	return true;
}

int64
mr_timestamp_to_unix_ms(TimestampTz timestamp)
{
	return timestamp / 1000 + EPOCH_MS;
}
