/*
 * crash_collect.c: what crashed workers have left, see crash.h. Runs in the supervisor.
 *
 * After a crash the postmaster restarts everything, and no worker of a database runs before its supervisor has
 * been here. Rows are committed before the file is removed: killed in between, the file is read again, and the
 * number of its batch shows that it was counted.
 */
#include "postgres.h"

#include "supervise/crash_collect.h"

#include <sys/stat.h>
#include <unistd.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "server/clock.h"
#include "server/guc.h"
#include "server/shmem.h"
#include "server/xact.h"
#include "pipeline/pipeline.h"
#include "fail/crash.h"

#define FORGET_INTERVAL_US INT64_C(10000000)
#define STOP_FACTOR        10 /* times max_crashes in an hour, and the pipeline is stopped */

static bool any = true; /* rows, as far as is known */

/* A process that runs keeps its file. */
static bool
is_at_work(uint32 ticket, pid_t pid)
{
	bool found = false;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	for (int i = 0; i < mr_shared->max_processes && !found; i++)
	{
		MrWorkerProcess *process = mr_worker_process(i);

		found = process->pid == pid && pid != 0 && process->database == MyDatabaseId &&
				process->ticket == ticket;
	}
	LWLockRelease(mr_shared->lock);
	return found;
}

/* NULL: it cannot be read, or was not written by this build. */
static pg_noinline MrWorkRecord *
read_file(const char *path)
{
	int fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	MrWorkRecord *record = NULL;
	struct stat status;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &status) == 0 && status.st_size >= (off_t) sizeof(MrWorkRecord) &&
		status.st_size < (off_t) MaxAllocSize)
	{
		record = palloc(status.st_size);
		if (read(fd, record, status.st_size) != status.st_size || record->magic != MR_WORK_MAGIC ||
			record->size != sizeof(MrWorkRecord) || record->nranges < 0 ||
			record->nranges >
				(int64) ((status.st_size - offsetof(MrWorkRecord, ranges)) / sizeof(MrWorkRange)))
		{
			pfree(record);
			record = NULL;
		}
	}
	(void) CloseTransientFile(fd);
	return record;
}

static void
log_crash(const MrWorkRecord *record, const char *stage)
{
	const char *at = "";

	if (record->at_offset != MR_WORK_UNKNOWN)
		at = psprintf(", at offset %lld of partition %s", (long long) record->at_offset,
					  mr_partition_text(record->pipeline_id, record->at_partition));
	ereport(
		LOG,
		(errmsg_plural("millrace: worker %d of pipeline \"%s\" crashed in stage %s of %d event%s",
					   "millrace: worker %d of pipeline \"%s\" crashed in stage %s of %d events%s",
					   record->nevents, record->worker, mr_pipeline_name(record->pipeline_id),
					   stage, record->nevents, at),
		 record->nevents > 1
			 ? errdetail("They are processed in smaller batches, to find the one that crashes.")
			 : errdetail_plural("It is processed alone, %d time at most (millrace.max_crashes).",
								"It is processed alone, %d times at most (millrace.max_crashes).",
								mr_max_crashes, mr_max_crashes)));
}

static void
note_range(const MrWorkRecord *record, const MrWorkRange *range, const char *stage)
{
	static const char *const sql =
		"SELECT millrace._note_crash($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
	static Oid types[] = {INT4OID, INT4OID, TEXTOID, INT4OID,        INT8OID, INT8OID,
						  INT8OID, INT4OID, TEXTOID, TIMESTAMPTZOID, INT8OID};
	bool has_suspect =
		record->at_offset != MR_WORK_UNKNOWN && record->at_partition == range->partition;
	Datum values[] = {Int32GetDatum(record->pipeline_id),
					  Int32GetDatum(record->version),
					  CStringGetTextDatum(mr_work_kind_name(record->kind)),
					  Int32GetDatum(range->partition),
					  Int64GetDatum(range->first),
					  Int64GetDatum(range->last),
					  Int64GetDatum(record->at_offset),
					  Int32GetDatum(record->nevents),
					  CStringGetTextDatum(stage),
					  TimestampTzGetDatum(record->began_at),
					  Int64GetDatum(record->number)};
	char nulls[lengthof(types)];

	memset(nulls, ' ', sizeof(nulls));
	nulls[6] = has_suspect ? ' ' : 'n';
	if (SPI_execute_with_args(sql, lengthof(types), types, values, nulls, false, 0) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not note a crash");
}

/* A person has to fix that; until resume() is called the pipeline is not run. */
static void
count_crash(const MrWorkRecord *record)
{
	static Oid types[] = {INT4OID, INT8OID, INT4OID};
	int allowed = mr_max_crashes * STOP_FACTOR;
	Datum values[] = {Int32GetDatum(record->pipeline_id), Int64GetDatum(record->number),
					  Int32GetDatum(allowed)};
	bool isnull;

	if (SPI_execute_with_args("SELECT millrace._count_crash($1, $2, $3)", lengthof(types), types,
							  values, NULL, false, 0) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not count a crash");
	if (DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)))
		ereport(
			LOG,
			(errmsg("millrace: pipeline \"%s\" is stopped, it crashed the server %d times within "
					"an hour",
					mr_pipeline_name(record->pipeline_id), allowed),
			 errhint("Fix the function that crashes, then call millrace.resume().")));
}

/* Does nothing when the extension was dropped. */
static void
note(void *arg)
{
	const MrWorkRecord *record = arg;
	const char *stage = record->stage >= MR_STAGE_DECODE && record->stage < MR_STAGES
							? mr_stage_name(record->stage)
							: mr_stage_name(MR_STAGE_WRITE);

	if (!mr_xact_begin("noting a crash"))
		return;
	log_crash(record, stage);
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	for (int i = 0; i < record->nranges; i++)
		note_range(record, &record->ranges[i], stage);
	count_crash(record);
	SPI_finish();
	PopActiveSnapshot();
	mr_xact_commit();
	any = true;
	(void) pg_atomic_fetch_add_u32(&mr_shared->crashes, 1);
}

static void
collect(const char *name)
{
	MrWorkRecord *record;
	char path[MAXPGPATH];
	Oid database;
	uint32 ticket;
	int pid;
	int length = 0;

	if (sscanf(name, MR_WORK_FILE_FORMAT "%n", &database, &ticket, &pid, &length) != 3 ||
		length != (int) strlen(name) || database != MyDatabaseId || is_at_work(ticket, pid))
		return;
	snprintf(path, sizeof(path), "%s/%s", MR_WORK_DIRECTORY, name);
	record = read_file(path);
	if (record != NULL && record->running && !record->innocent)
		(void) mr_xact_guard(note, record);
	(void) unlink(path); /* one that cannot be noted must not keep the workers away for ever */
}

void
mr_crash_collect(void)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "millrace crashes", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List *names = NIL;
	DIR *directory = AllocateDir(MR_WORK_DIRECTORY);
	struct dirent *entry;
	ListCell *cell;

	while ((entry = ReadDirExtended(directory, MR_WORK_DIRECTORY, LOG)) != NULL)
		if (strncmp(entry->d_name, "millrace_", 9) == 0)
			names = lappend(names, pstrdup(entry->d_name));
	(void) FreeDir(directory);
	foreach (cell, names)
	{
		collect(lfirst(cell));
		MemoryContextSwitchTo(context); /* a transaction's end leaves another */
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static void
forget(void *arg)
{
	if (!mr_xact_begin("looking for suspicions that are void"))
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	if (SPI_execute("SELECT millrace._forget_crashes()", false, 1) == SPI_OK_SELECT &&
		SPI_processed == 1)
	{
		bool isnull;

		any = DatumGetInt32(
				  SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)) > 0;
	}
	SPI_finish();
	PopActiveSnapshot();
	mr_xact_commit();
}

void
mr_crash_forget(void)
{
	static int64 next = 0;
	int64 now = mr_clock_us();

	if (!any || now < next)
		return;
	next = now + FORGET_INTERVAL_US;
	(void) mr_xact_guard(forget, NULL);
}
