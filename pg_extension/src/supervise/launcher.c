/*
 * launcher.c: one process per server, connected to no database, that starts a supervisor in each database
 * which may have the extension.
 *
 * A supervisor that does not find the extension says so in shared memory and ends; it is started again only
 * when CREATE EXTENSION (or any verb) in that database pings. Databases that are new are looked into once.
 * The launcher starts when recovery has ended: on a standby that is promotion.
 */
#include "postgres.h"

#include "supervise/launcher.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "server/guc.h"
#include "server/shmem.h"
#include "supervise/bgworker.h"
#include "supervise/restart_policy.h"

#define LOOK_INTERVAL_MS 60000 /* between two looks for new databases */

typedef struct Watch
{
	Oid database;
	BackgroundWorkerHandle *handle;
	MrRestart restart;
	bool seen;
} Watch;

static List *watches = NIL;
static bool look_again = false; /* a supervisor has ended: is its database still there? */

PGDLLEXPORT void mr_launcher_main(Datum arg);

void
mr_launcher_register(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	strlcpy(worker.bgw_library_name, "millrace", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "mr_launcher_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "millrace launcher", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "millrace launcher", sizeof(worker.bgw_type));
	RegisterBackgroundWorker(&worker);
}

static Watch *
watch_of(Oid database)
{
	ListCell *cell;
	MemoryContext old;
	Watch *watch;

	foreach (cell, watches)
		if (((Watch *) lfirst(cell))->database == database)
			return lfirst(cell);
	old = MemoryContextSwitchTo(TopMemoryContext);
	watch = palloc0(sizeof(Watch));
	watch->database = database;
	watches = lappend(watches, watch);
	MemoryContextSwitchTo(old);
	return watch;
}

/* A dropped database leaves shared memory. */
static void
forget_database(Oid database)
{
	MrDatabase *slot;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	slot = mr_database_slot(database, false);
	if (slot != NULL && slot->supervisor_pid == 0)
		slot->database = InvalidOid;
	LWLockRelease(mr_shared->lock);
}

/* Notes databases that are there now, forgets those that are not. */
static void
look_at_databases(void)
{
	Relation rel;
	TableScanDesc scan;
	HeapTuple tuple;
	ListCell *cell;

	foreach (cell, watches)
		((Watch *) lfirst(cell))->seen = false;
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (!database->datallowconn || database->datistemplate)
			continue;
		LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
		(void) mr_database_slot(database->oid, true);
		LWLockRelease(mr_shared->lock);
		watch_of(database->oid)->seen = true;
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	foreach (cell, watches)
	{
		Watch *watch = lfirst(cell);

		if (!watch->seen && watch->handle == NULL)
		{
			forget_database(watch->database);
			watches = foreach_delete_current(watches, cell);
			pfree(watch);
		}
	}
}

/* Whether a supervisor is wanted in the database; one of an earlier launcher's is as good as another. */
static bool
is_wanted(Oid database)
{
	MrDatabase *slot;
	bool wanted;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	slot = mr_database_slot(database, false);
	wanted = slot != NULL && !slot->absent && !slot->held && slot->supervisor_pid == 0;
	LWLockRelease(mr_shared->lock);
	return wanted;
}

static void
note_pings(void)
{
	Oid pinged[MR_DATABASES_MAX];
	int n = 0;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	for (int i = 0; i < MR_DATABASES_MAX; i++)
		if (OidIsValid(mr_shared->databases[i].database) && !mr_shared->databases[i].absent)
			pinged[n++] = mr_shared->databases[i].database;
	LWLockRelease(mr_shared->lock);
	for (int i = 0; i < n; i++)
		(void) watch_of(pinged[i]);
}

static void
start_supervisor(Watch *watch, TimestampTz now)
{
	if (mr_worker_start("millrace supervisor", "mr_supervisor_main",
						ObjectIdGetDatum(watch->database), &watch->handle))
	{
		watch->restart.started_at = now;
		return;
	}
	watch->handle = NULL;
	watch->restart.next_start = TimestampTzPlusMilliseconds(now, 5000); /* no slot: try later */
}

/* Starts what should run and does not; returns ms until the next start that is due. */
static long
start_supervisors(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long sleep_ms = LOOK_INTERVAL_MS;
	ListCell *cell;

	foreach (cell, watches)
	{
		Watch *watch = lfirst(cell);
		pid_t pid;

		if (watch->handle != NULL && GetBackgroundWorkerPid(watch->handle, &pid) == BGWH_STOPPED)
		{
			pfree(watch->handle);
			watch->handle = NULL;
			look_again = true;
			mr_restart_note_end(&watch->restart, now, mr_restart_interval_s);
		}
		if (watch->handle != NULL)
			continue;
		if (!is_wanted(watch->database))
		{
			watch->restart.backoff_s = 0;
			continue;
		}
		if (watch->restart.next_start <= now)
			start_supervisor(watch, now);
		if (watch->restart.next_start > now)
			sleep_ms =
				Min(sleep_ms,
					Max(10, TimestampDifferenceMilliseconds(now, watch->restart.next_start)));
	}
	return sleep_ms;
}

static void
leave(int code, Datum arg)
{
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	mr_shared->launcher_latch = NULL;
	LWLockRelease(mr_shared->lock);
}

void
mr_launcher_main(Datum arg)
{
	TimestampTz next_look = 0;

	mr_worker_prepare();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	if (IsBinaryUpgrade || mr_shared == NULL)
		proc_exit(0);
	before_shmem_exit(leave, 0);
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	mr_shared->launcher_latch = MyLatch;
	LWLockRelease(mr_shared->lock);

	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();

		if (now >= next_look || look_again)
		{
			look_again = false;
			look_at_databases();
			next_look = TimestampTzPlusMilliseconds(now, LOOK_INTERVAL_MS);
		}
		note_pings();
		mr_worker_sleep(start_supervisors());
	}
}
