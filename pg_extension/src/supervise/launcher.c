/*
 * launcher.c: one process per server, connected to no database, that starts a supervisor in each database
 * which may have the extension.
 *
 * A supervisor that does not find the extension notes that in shared memory and ends; it is started again only
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
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "server/clock.h"
#include "server/shmem.h"
#include "supervise/bgworker.h"
#include "supervise/keep.h"

#define LOOK_INTERVAL_US INT64_C(60000000) /* between two looks for new databases */
#define NO_SLOT_US       INT64_C(5000000)  /* until the next try to get a slot */

/* A database, and its supervisor. */
typedef struct Watch
{
	MrChild supervisor;
	Oid database;
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

		if (!watch->seen && !watch->supervisor.running)
		{
			forget_database(watch->database);
			watches = foreach_delete_current(watches, cell);
			pfree(watch);
		}
	}
}

/* Whether a supervisor is wanted in the database; one that an earlier launcher started is kept. */
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

/* NULL: it was dropped. */
static char *
name_of_database(Oid database)
{
	MemoryContext caller = CurrentMemoryContext;
	char *name;

	StartTransactionCommand();
	name = get_database_name(database);
	if (name != NULL)
		name = MemoryContextStrdup(caller, name);
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	return name;
}

static bool
start_supervisor(MrChild *child)
{
	Watch *watch = (Watch *) child;
	char *database = name_of_database(watch->database);
	char name[BGW_MAXLEN];

	snprintf(name, sizeof(name), "millrace supervisor of %s", database ? database : "?");
	if (database != NULL)
		pfree(database);
	return mr_worker_start(name, "millrace supervisor", "mr_supervisor_main",
						   ObjectIdGetDatum(watch->database), &child->handle);
}

static void
note_end(MrChild *child)
{
	look_again = true;
}

/* Starts what should run and does not; returns when the next start is due. */
static int64
keep_supervisors(int64 now)
{
	static const MrKeeping keeping = {.start = start_supervisor,
									  .ended = note_end,
									  .no_slot_us = NO_SLOT_US};
	int64 look_at = now + LOOK_INTERVAL_US;
	ListCell *cell;

	foreach (cell, watches)
	{
		Watch *watch = lfirst(cell);

		look_at = mr_keep(&keeping, &watch->supervisor, is_wanted(watch->database), now, look_at);
	}
	return look_at;
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
	int64 next_look = 0;

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
		int64 now = mr_clock_us();

		if (now >= next_look || look_again)
		{
			look_again = false;
			look_at_databases();
			next_look = now + LOOK_INTERVAL_US;
		}
		note_pings();
		mr_worker_sleep_until(keep_supervisors(now), MR_WAIT_WORK);
	}
}
