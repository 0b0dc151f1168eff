/*
 * launcher.c: one process per server, connected to no database, that starts a supervisor in each database
 * which may have the extension.
 *
 * A supervisor that does not find the extension notes that in shared memory and ends. The launcher keeps the note, having
 * room for any number of databases, and starts it again only when CREATE EXTENSION (or any verb) in that database
 * pings. Databases that are new are looked into once.
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
#include "supervise/give_way.h"
#include "supervise/keep.h"

#define LOOK_INTERVAL_US INT64_C(60000000) /* between two looks for new databases */
#define NO_SLOT_US       INT64_C(5000000)  /* until the next try to get a slot */

/* A database, and its supervisor. */
typedef struct Watch
{
	MrChild supervisor;
	Oid database;
	bool absent; /* the extension is not there, as far as is known */
	bool seen;
	bool lacking;        /* its supervisor found no slot of max_worker_processes */
	int64 no_slot_since; /* 0: it has one; -1: has none, and the log says so */
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

/*
 * Takes note of what the slots in shared memory say, and frees those of databases without the extension: it has just been
 * noted, and a ping takes a slot again.
 */
static void
look_at_slots(void)
{
	static uint32 lost_wakes_noted = 0;
	Watch *known = palloc0(mr_shared->max_databases * sizeof(Watch));
	bool lost_wakes;
	ListCell *cell;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < mr_shared->max_databases; i++)
	{
		MrDatabase *slot = mr_database_slot_at(i);

		known[i].database = slot->database;
		known[i].absent = slot->absent;
		if (slot->absent && !slot->held && slot->supervisor_pid == 0)
			slot->database = InvalidOid;
	}
	lost_wakes = lost_wakes_noted != mr_shared->lost_wakes;
	lost_wakes_noted = mr_shared->lost_wakes;
	LWLockRelease(mr_shared->lock);
	if (lost_wakes)
		foreach (cell, watches)
			((Watch *) lfirst(cell))->absent = false;
	for (int i = 0; i < mr_shared->max_databases; i++)
		if (OidIsValid(known[i].database))
			watch_of(known[i].database)->absent = known[i].absent;
	pfree(known);
}

/* It waits for others to be looked into, at first; later the log says so, once. */
static void
miss_slot(Watch *watch, int64 now)
{
	if (watch->no_slot_since == 0)
		watch->no_slot_since = now;
	if (watch->no_slot_since < 0 || now - watch->no_slot_since < LOOK_INTERVAL_US)
		return;
	ereport(LOG, (errmsg("millrace: no room for the database with OID %u", watch->database),
				  errdetail("Shared memory has room for %d databases with the extension.",
							mr_shared->max_databases),
				  errhint("Raise max_worker_processes and restart the server.")));
	watch->no_slot_since = -1;
}

/*
 * Whether a supervisor is wanted in the database, which has a slot then; one that an earlier launcher started is kept.
 */
static bool
is_wanted(Watch *watch, int64 now)
{
	MrDatabase *slot;
	bool wanted;

	if (watch->absent)
		return false;
	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	slot = mr_database_slot(watch->database, true);
	wanted = slot != NULL && !slot->absent && !slot->held && slot->supervisor_pid == 0;
	LWLockRelease(mr_shared->lock);
	if (slot == NULL)
		miss_slot(watch, now);
	else
		watch->no_slot_since = 0;
	return wanted;
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

/* Of the one that is to be started. */
static void
forget_end(Oid database)
{
	MrDatabase *slot;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	slot = mr_database_slot(database, false);
	if (slot != NULL)
		slot->done = false;
	LWLockRelease(mr_shared->lock);
}

static bool
start_supervisor(MrChild *child)
{
	Watch *watch = (Watch *) child;
	char *database = name_of_database(watch->database);
	char name[BGW_MAXLEN];
	bool started;

	forget_end(watch->database);
	snprintf(name, sizeof(name), "millrace supervisor of %s", database ? database : "?");
	if (database != NULL)
		pfree(database);
	started = mr_worker_start(name, "millrace supervisor", "mr_supervisor_main",
							  ObjectIdGetDatum(watch->database), &child->handle);
	watch->lacking = !started;
	return started;
}

static bool
note_end(MrChild *child)
{
	const Watch *watch = (const Watch *) child;
	const MrDatabase *slot;
	bool done;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	slot = mr_database_slot(watch->database, false);
	done = slot == NULL || slot->done; /* the slot of a database without the extension is free */
	LWLockRelease(mr_shared->lock);
	look_again = true;
	return done;
}

/* Starts what should run and does not; returns when the next start is due. */
static int64
keep_supervisors(int64 now)
{
	static const MrKeeping keeping = {.start = start_supervisor,
									  .ended = note_end,
									  .no_slot_us = NO_SLOT_US};
	int64 look_at = now + LOOK_INTERVAL_US;
	bool lacking = false;
	ListCell *cell;

	foreach (cell, watches)
	{
		Watch *watch = lfirst(cell);

		if (watch->lacking)
			watch->supervisor.restart.next_start = now;
		watch->lacking = false;
		look_at = mr_keep(&keeping, &watch->supervisor, is_wanted(watch, now), now, look_at);
		lacking = lacking || watch->lacking;
	}
	mr_give_way_launcher_waits(lacking, now);
	if (lacking && mr_give_way_ask(InvalidOid, InvalidOid, now))
		look_at = Min(look_at, now + MR_GIVE_WAY_WAIT_US);
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
		look_at_slots();
		mr_worker_sleep_until(keep_supervisors(now), MR_WAIT_WORK);
	}
}
