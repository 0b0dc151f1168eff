/*
 * shmem.c: request, create and find the shared memory of the extension.
 *
 * Runs in the postmaster (request, startup) and in every process that asks for a slot. One LWLock protects
 * the whole: it is taken per segment or per batch, for a few hundred nanoseconds, never while waiting.
 */
#include "server/shmem.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/guc.h"

#include "server/guc.h"

#define DATABASES_MIN 16 /* some may be held, and have no worker */

MrShared *mr_shared = NULL;

static shmem_request_hook_type prev_request_hook = NULL;
static shmem_startup_hook_type prev_startup_hook = NULL;

static int
max_databases(void)
{
	return Max(max_worker_processes, DATABASES_MIN);
}

static Size
shared_bytes(void)
{
	Size size = MAXALIGN(sizeof(MrShared));

	size = add_size(size, mul_size(mr_max_lanes, MAXALIGN(sizeof(MrLane))));
	size = add_size(size, mul_size(mr_max_workers, MAXALIGN(sizeof(MrWorkerSlot))));
	size = add_size(size, mul_size(max_worker_processes, MAXALIGN(sizeof(MrWorkerProcess))));
	return add_size(size, mul_size(max_databases(), sizeof(MrDatabase)));
}

static void
request_shmem(void)
{
	if (prev_request_hook)
		prev_request_hook();
	RequestAddinShmemSpace(shared_bytes());
	RequestNamedLWLockTranche("millrace", 1);
}

static void
startup_shmem(void)
{
	bool found;

	if (prev_startup_hook)
		prev_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	mr_shared = ShmemInitStruct("millrace", shared_bytes(), &found);
	if (!found)
	{
		memset(mr_shared, 0, shared_bytes());
		mr_shared->lock = &GetNamedLWLockTranche("millrace")->lock;
		mr_shared->max_lanes = mr_max_lanes;
		mr_shared->max_workers = mr_max_workers;
		mr_shared->max_processes = max_worker_processes;
		mr_shared->max_databases = max_databases();
		if (!pg_strong_random(&mr_shared->incarnation, sizeof(mr_shared->incarnation)))
			ereport(FATAL, (errmsg("could not make a random number for the incarnation")));
		pg_atomic_init_u32(&mr_shared->crashes, 0);
		for (int i = 0; i < mr_max_lanes; i++)
		{
			pg_atomic_init_u64(&mr_lane_slot(i)->staged, 0);
			pg_atomic_init_u64(&mr_lane_slot(i)->consumed, 0);
		}
	}
	LWLockRelease(AddinShmemInitLock);
}

void
mr_shmem_install_hooks(void)
{
	prev_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

/* The arrays behind MrShared, one after the other. */

static char *
lanes(void)
{
	return (char *) mr_shared + MAXALIGN(sizeof(MrShared));
}

static char *
workers(void)
{
	return lanes() + mr_shared->max_lanes * MAXALIGN(sizeof(MrLane));
}

static char *
processes(void)
{
	return workers() + mr_shared->max_workers * MAXALIGN(sizeof(MrWorkerSlot));
}

static char *
databases(void)
{
	return processes() + mr_shared->max_processes * MAXALIGN(sizeof(MrWorkerProcess));
}

MrLane *
mr_lane_slot(int i)
{
	Assert(i >= 0 && i < mr_shared->max_lanes);
	return (MrLane *) (lanes() + i * MAXALIGN(sizeof(MrLane)));
}

MrWorkerSlot *
mr_worker_slot(int i)
{
	Assert(i >= 0 && i < mr_shared->max_workers);
	return (MrWorkerSlot *) (workers() + i * MAXALIGN(sizeof(MrWorkerSlot)));
}

MrWorkerProcess *
mr_worker_process(int i)
{
	Assert(i >= 0 && i < mr_shared->max_processes);
	return (MrWorkerProcess *) (processes() + i * MAXALIGN(sizeof(MrWorkerProcess)));
}

void
mr_require_preload(void)
{
	if (mr_shared == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("millrace is not loaded by the server"),
						errhint("Add millrace to shared_preload_libraries in postgresql.conf and "
								"restart the server.")));
}

MrDatabase *
mr_database_slot_at(int i)
{
	Assert(i >= 0 && i < mr_shared->max_databases);
	return (MrDatabase *) databases() + i;
}

MrDatabase *
mr_database_slot(Oid database, bool create)
{
	MrDatabase *unused = NULL;

	for (int i = 0; i < mr_shared->max_databases; i++)
	{
		MrDatabase *slot = mr_database_slot_at(i);

		if (slot->database == database)
			return slot;
		if (unused == NULL && slot->database == InvalidOid)
			unused = slot;
	}
	if (!create || unused == NULL)
		return NULL;
	memset(unused, 0, sizeof(*unused));
	unused->database = database;
	return unused;
}

bool
mr_database_is_held(Oid database)
{
	MrDatabase *slot;
	bool held;

	LWLockAcquire(mr_shared->lock, LW_SHARED);
	slot = mr_database_slot(database, false);
	held = slot != NULL && slot->held;
	LWLockRelease(mr_shared->lock);
	return held;
}
