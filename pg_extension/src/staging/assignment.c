/*
 * assignment.c: millrace.assign(): a partition gets a new epoch, its new holder gets the position to go on from.
 *
 * Runs in an ingestor's backend. The partition's lock waits for the batch in flight, so the position
 * returned is moved by nothing but batches of the new epoch.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "server/catalog.h"
#include "server/errcode.h"
#include "server/locks.h"
#include "pipeline/partition.h"
#include "pipeline/pipeline.h"
#include "pipeline/position_lock.h"
#include "staging/lane_claim.h"

enum
{
	COLUMN_PARTITION,
	COLUMN_EPOCH,
	COLUMN_NEXT_OFFSET,
	COLUMN_LAST_OFFSET,
	COLUMN_LAST_TS,
	COLUMN_LAST_CRC,
	COLUMN_STATE,
	COLUMN_SEEK_TS,
	COLUMN_TOPIC,
	COLUMN_TOPIC_PARTITION,
	NCOLUMNS
};

static int
compare_int4(const void *a, const void *b)
{
	int32 left = *(const int32 *) a;
	int32 right = *(const int32 *) b;

	return left < right ? -1 : left > right;
}

/* Stops a partition whose position is lost: its hint has the commands that set one. Lock held. */
static void
stop_lost(const MrPipelineRow *pipeline, int32 partition)
{
	Oid types[] = {INT4OID, INT4OID};
	Datum arguments[] = {Int32GetDatum(pipeline->id), Int32GetDatum(partition)};
	Oid caller;
	int context;

	mr_become_extension_owner(&caller, &context);
	SPI_connect();
	if (SPI_execute_with_args("SELECT millrace._stop_lost($1, $2)", 2, types, arguments, NULL,
							  false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not stop partition %d of pipeline \"%s\"", partition, pipeline->name);
	SPI_finish();
	SetUserIdAndSecContext(caller, context);
}

/* Those of the array, ascending, each once: locks are taken in that order, as by every holder of several. */
static MrPartition *
lock_and_read(int32 pipeline_id, int32 *numbers, int *n)
{
	MrPartition *partitions = palloc0(Max(*n, 1) * sizeof(MrPartition));
	int count = 0;

	qsort(numbers, *n, sizeof(int32), compare_int4);
	for (int i = 0; i < *n; i++)
		if (i == 0 || numbers[i] != numbers[i - 1])
			partitions[count++].partition = numbers[i];
	mr_partitions_lock(pipeline_id, partitions, count);
	*n = count;
	return partitions;
}

/* Fills in the partition's row. False: the pipeline does not have it (yet), which is no trouble of the others. */
static bool
assign_one(const MrPipelineRow *pipeline, MrTopics *topics, MrPartition *p, int32 lane_id,
		   Datum *values, bool *nulls)
{
	MrPlace place = mr_topics_place(topics, p->partition);

	if (p->unknown)
	{
		if (p->partition < 0 || p->partition >= pipeline->partitions)
			return false;
		stop_lost(pipeline, p->partition);
		p->stopped = true;
	}
	values[COLUMN_PARTITION] = Int32GetDatum(p->partition);
	nulls[COLUMN_EPOCH] = p->stopped;
	if (!p->stopped)
		values[COLUMN_EPOCH] =
			Int64GetDatum(mr_partition_new_epoch(pipeline->id, p->partition, lane_id));
	values[COLUMN_NEXT_OFFSET] = Int64GetDatum(p->next_offset);
	nulls[COLUMN_LAST_OFFSET] = nulls[COLUMN_LAST_TS] = nulls[COLUMN_LAST_CRC] = p->last_offset < 0;
	values[COLUMN_LAST_OFFSET] = Int64GetDatum(p->last_offset);
	values[COLUMN_LAST_TS] = Int64GetDatum(p->last_ts);
	values[COLUMN_LAST_CRC] = Int64GetDatum(p->last_crc);
	values[COLUMN_STATE] = CStringGetTextDatum(p->stopped ? "stopped" : "active");
	nulls[COLUMN_SEEK_TS] = p->seek_ts < 0;
	values[COLUMN_SEEK_TS] = Int64GetDatum(p->seek_ts);
	values[COLUMN_TOPIC] = place.topic;
	values[COLUMN_TOPIC_PARTITION] = Int32GetDatum(place.partition);
	return true;
}

PG_FUNCTION_INFO_V1(mr_assign);

/*
 * millrace.assign(pipeline text, lane integer, partitions integer[])
 *   RETURNS TABLE (partition integer, epoch bigint, next_offset bigint, last_offset bigint, last_ts bigint,
 *                  last_crc bigint, state text, seek_ts bigint, topic text, topic_partition integer)
 * A partition that the pipeline does not have has no row.
 */
Datum
mr_assign(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ArrayType *array = PG_GETARG_ARRAYTYPE_P_COPY(2);
	int n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	int32 *partitions = (int32 *) ARR_DATA_PTR(array);
	MrPipelineRow pipeline;
	MrPartition *assigned;
	MrTopics *topics;
	MrLane *lane;

	mr_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	if (ARR_HASNULL(array))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("partitions must not contain nulls")));
	lane = mr_lane_of_session(PG_GETARG_INT32(1), mr_shared->incarnation);
	mr_pipeline_row_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)), &pipeline);
	if (lane->pipeline_id != pipeline.id)
		ereport(ERROR, (errcode(MR_ERRCODE_STALE_LANE),
						errmsg("lane %d is not of pipeline \"%s\"", lane->lane_id, pipeline.name),
						errdetail("That pipeline may have been dropped and created again."),
						errhint("Open a new lane.")));
	topics = mr_topics_load(pipeline.id);
	assigned = lock_and_read(pipeline.id, partitions, &n);
	for (int i = 0; i < n; i++)
	{
		Datum values[NCOLUMNS];
		bool nulls[NCOLUMNS] = {false};

		if (assign_one(&pipeline, topics, &assigned[i], lane->lane_id, values, nulls))
			tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
