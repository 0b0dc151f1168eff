/*
 * position_lock.c: see position_lock.h. Runs in workers, in ingestor backends and in verbs.
 */
#include "pipeline/position_lock.h"

#include "fmgr.h"

#include "server/locks.h"
#include "server/xact.h"
#include "pipeline/ledger.h"

void
mr_partitions_lock(int32 pipeline_id, MrPartition *partitions, int n)
{
	for (int i = 0; i < n; i++)
		mr_lock_partition(pipeline_id, partitions[i].partition);
	mr_partitions_read(pipeline_id, partitions, n);
	(void) mr_ledger_leave(pipeline_id, partitions, n, true);
}

bool
mr_partition_try_lock(int32 pipeline_id, MrPartition *partition)
{
	if (!mr_try_lock_partition(pipeline_id, partition->partition))
		return false;
	mr_partitions_read(pipeline_id, partition, 1);
	if (mr_ledger_leave(pipeline_id, partition, 1, false))
		return true;
	mr_unlock_partition(pipeline_id, partition->partition);
	return false;
}

/* What mr_partition_wait() waits for. */
typedef struct Wanted
{
	int32 pipeline_id;
	MrPartition partition;
} Wanted;

static void
lock_wanted(void *arg)
{
	Wanted *wanted = arg;

	mr_partitions_lock(wanted->pipeline_id, &wanted->partition, 1);
}

void
mr_partition_wait(int32 pipeline_id, int32 partition, int ms)
{
	Wanted wanted = {pipeline_id, {.partition = partition}};
	ErrorData *error = mr_try(lock_wanted, &wanted, NULL, 0, ms);

	if (error != NULL && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ReThrowError(error);
}

PG_FUNCTION_INFO_V1(mr_sql_lock_pipeline);
PG_FUNCTION_INFO_V1(mr_sql_lock_partition);

/*
 * millrace._lock_pipeline(pipeline_id integer): exclusive until the end of the transaction. All partitions leave their
 * ledgers: so that verbs find positions in millrace.progress, and take ledgers after the partitions, as everybody does.
 */
Datum
mr_sql_lock_pipeline(PG_FUNCTION_ARGS)
{
	int32 pipeline_id = PG_GETARG_INT32(0);
	MrPartition *members;
	int n;

	mr_lock_pipeline(pipeline_id, ExclusiveLock);
	members = mr_ledger_members(pipeline_id, &n);
	if (n > 0)
		mr_partitions_lock(pipeline_id, members, n);
	PG_RETURN_VOID();
}

/* millrace._lock_partition(pipeline_id integer, partition integer): exclusive until the transaction ends. */
Datum
mr_sql_lock_partition(PG_FUNCTION_ARGS)
{
	MrPartition partition = {.partition = PG_GETARG_INT32(1)};

	mr_partitions_lock(PG_GETARG_INT32(0), &partition, 1);
	PG_RETURN_VOID();
}
