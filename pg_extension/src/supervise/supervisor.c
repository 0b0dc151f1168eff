/*
 * supervisor.c: one process per database with the extension. Keeps the workers of its pipelines in shared memory (post.h) and
 * the processes that serve them running (staff.h), and removes progress rows that are history.
 *
 * Runs as the bootstrap superuser and executes nothing of a user's: settings that could make it are pinned.
 * Ends when the extension was dropped, or is of another version than the library, until a verb or an upgrade script wakes the
 * launcher. Its workers outlive it; the next supervisor adopts them.
 */
#include "supervise/bgworker.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/guc.h"

#include "server/catalog.h"
#include "server/clock.h"
#include "server/shmem.h"
#include "server/version.h"
#include "server/xact.h"
#include "stats/minutes.h"
#include "pipeline/history.h"
#include "supervise/crash_collect.h"
#include "supervise/post.h"
#include "supervise/staff.h"

#define READ_INTERVAL_US INT64_C(5000000)

static Oid my_database = InvalidOid;

PGDLLEXPORT void mr_supervisor_main(Datum arg);

/* Takes the database's slot. False: another supervisor has it, or none is free. */
static bool
enter(void)
{
	MrDatabase *slot;
	bool entered = false;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	slot = mr_database_slot(my_database, true);
	if (slot != NULL && slot->supervisor_pid == 0)
	{
		slot->supervisor_pid = MyProcPid;
		slot->supervisor_latch = MyLatch;
		entered = true;
	}
	LWLockRelease(mr_shared->lock);
	return entered;
}

/* The processes go on with the workers they serve. Slots without one are free, those of the others when they end. */
static void
leave(int code, Datum arg)
{
	MrDatabase *slot;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	slot = mr_database_slot(my_database, false);
	if (slot != NULL && slot->supervisor_pid == MyProcPid)
	{
		slot->supervisor_pid = 0;
		slot->supervisor_latch = NULL;
		slot->waiting_since = 0;
		slot->done = code == 0;
	}
	mr_staff_leave();
	mr_posts_leave();
	/* The postmaster notifies the launcher that started us, not a later one. */
	if (mr_shared->launcher_latch != NULL)
		SetLatch(mr_shared->launcher_latch);
	LWLockRelease(mr_shared->lock);
}

static uint32
count_wakes(void)
{
	MrDatabase *slot;
	uint32 wakes;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	slot = mr_database_slot(my_database, false);
	wakes = slot != NULL ? slot->wakes : 0;
	LWLockRelease(mr_shared->lock);
	return wakes;
}

/* Something was changed, or time has passed: nothing depends on a wake alone. */
static bool
is_time_to_read(uint32 wakes)
{
	static int64 next = 0;
	static uint32 known = 0;
	int64 now = mr_clock_us();

	if (now < next && wakes == known && !mr_posts_have_leavers())
		return false;
	next = now + READ_INTERVAL_US;
	known = wakes;
	return true;
}

/* False: there was a wake since, perhaps from CREATE EXTENSION: look again. */
static bool
say_absent(uint32 wakes_before)
{
	MrDatabase *slot;
	bool absent = true;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	slot = mr_database_slot(my_database, false);
	if (slot != NULL)
	{
		absent = slot->wakes == wakes_before;
		slot->absent = absent;
	}
	LWLockRelease(mr_shared->lock);
	return absent;
}

/* Why nothing runs here, when it is not that the extension was dropped. */
static void
log_version(void)
{
	char *version;

	StartTransactionCommand();
	version = mr_extension_version();
	if (version != NULL && strcmp(version, mr_library_version()) != 0)
		ereport(
			LOG,
			(errmsg("millrace: extension of database \"%s\" is of version %s, but the library "
					"is of version %s",
					get_database_name(my_database), version, mr_library_version()),
			 errdetail("No events are processed there."),
			 errhint(
				 "Run ALTER EXTENSION millrace UPDATE, or restart the server if that was done.")));
	CommitTransactionCommand();
}

/* The path as autovacuum's: the database's owner may have set another one for it. */
static void
pin_settings(void)
{
	mr_worker_pin_settings();
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
}

void
mr_supervisor_main(Datum arg)
{
	my_database = DatumGetObjectId(arg);
	mr_worker_prepare();
	BackgroundWorkerInitializeConnectionByOid(my_database, InvalidOid, 0);
	pin_settings();
	if (!enter())
		proc_exit(0);
	before_shmem_exit(leave, 0);
	mr_crash_forget();
	mr_crash_collect();
	mr_staff_adopt(my_database);

	while (!mr_database_is_held(my_database))
	{
		uint32 wakes = count_wakes();
		int64 staff_at;
		int64 minute_at;

		if (is_time_to_read(wakes) && !mr_posts_read(my_database))
		{
			log_version();
			if (say_absent(wakes))
				break;
			continue;
		}
		staff_at = mr_staff_keep();
		minute_at = mr_clock_us() + mr_minutes_record();
		mr_worker_sleep_until(Min(staff_at, minute_at), MR_WAIT_WORK);
		mr_history_trim();
		mr_history_purge();
		mr_history_empty_keys();
		mr_crash_forget();
	}
	proc_exit(0);
}
