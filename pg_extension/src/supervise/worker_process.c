/*
 * worker_process.c: a process that serves workers of pipelines, one at a time: its own where there is a process for each
 * worker, several by turns where there is not (turn.h).
 *
 * A session of the pipelines' owner: nothing of a user's ever runs as superuser. Ends when it has no worker to serve any more,
 * or is asked to, for the sake of another owner; the supervisor decides whether to start another one.
 */
#include "supervise/bgworker.h"

#include <malloc.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/ps_status.h"

#include "server/compat.h"
#include "decode/reading.h"
#include "run/work_record.h"
#include "supervise/seat.h"
#include "supervise/worker.h"
#include "supervise/worker_log.h"

#define KEPT_MAX 32 /* workers whose plans are kept */

PGDLLEXPORT void mr_worker_main(Datum arg);

/* The last one served first. */
static List *kept = NIL;

/*
 * A batch takes and gives back some megabytes, many times a second. By default malloc returns them to the
 * kernel each time, and the page faults of getting them again were a quarter of the worker's time.
 */
static void
keep_memory(void)
{
#ifdef __GLIBC__
	(void) mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024);
	(void) mallopt(M_TRIM_THRESHOLD, 128 * 1024 * 1024);
#endif
}

/*
 * The settings a batch relies on; the owner's own (ALTER ROLE ... SET) do not reach it. Those that give values their meaning
 * are the definition's while a batch of it runs (engine.c), and by default here: a batch that wants no others sets none.
 */
static void
pin_settings(const char *synchronous_commit_of_server)
{
	MrReading reading;
	const char *name;
	const char *value;

	mr_worker_pin_settings();
	mr_reading_init(&reading);
	for (int i = 0; mr_reading_setting(&reading, i, &name, &value); i++)
		SetConfigOption(name, value, PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("synchronous_commit", synchronous_commit_of_server, PGC_USERSET,
					PGC_S_OVERRIDE);
}

/* Who it is at the moment: in ps, and in pg_stat_activity. */
static void
show_name(void)
{
	char name[BGW_MAXLEN];

	snprintf(name, sizeof(name), "millrace worker %d of %s", mr_seat->number, mr_seat->pipeline);
	init_ps_display(name);
	SetConfigOption("application_name", name, PGC_USERSET, PGC_S_OVERRIDE);
}

static void
forget(MrWorker *worker)
{
	kept = list_delete_ptr(kept, worker);
	mr_worker_free(worker);
}

/* What is known of the worker that the process serves, which stands first from now on. */
static MrWorker *
worker_of_seat(void)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	MrWorker *worker = NULL;
	ListCell *cell;

	foreach (cell, kept)
		if (mr_worker_is_of_seat(lfirst(cell)))
			worker = lfirst(cell);
	if (worker != NULL)
		kept = list_delete_ptr(kept, worker);
	else
		worker = mr_worker_create();
	kept = lcons(worker, kept);
	if (list_length(kept) > KEPT_MAX)
		forget(llast(kept));
	MemoryContextSwitchTo(old);
	return worker;
}

static MrWorker *
turn_to_seat(void)
{
	MrWorker *worker;

	show_name();
	worker = worker_of_seat();
	mr_worker_turn_to(worker);
	return worker;
}

/* Serves a worker for a turn. False: the process is to end. */
static bool
serve(MrWorker *worker)
{
	while (!mr_database_is_held(MyDatabaseId))
	{
		MrRest rest;
		int64 until = 0;
		MrTurn turn;

		if (!mr_worker_round(worker, &rest))
		{
			mr_worker_log_end();
			forget(worker);
			mr_turn_drop();
			return true;
		}
		turn = mr_turn_next(&rest, &until);
		if (turn == MR_TURN_REST)
		{
			mr_worker_sleep_until(until, mr_seat->state == MR_WORKER_BACKOFF   ? MR_WAIT_BACKOFF
										 : mr_seat->state == MR_WORKER_WAITING ? MR_WAIT_PARKED
																			   : MR_WAIT_WORK);
			mr_turn_awake();
		}
		else if (turn != MR_TURN_ON)
		{
			mr_worker_turn_from(worker);
			return turn == MR_TURN_OTHER;
		}
	}
	mr_worker_log_end();
	return false;
}

void
mr_worker_main(Datum arg)
{
	char *synchronous_commit_of_server;

	if (!mr_process_take(DatumGetUInt32(arg)))
		proc_exit(0);
	mr_worker_log_begin();
	mr_worker_prepare();
	/* Connecting applies the settings of role and database: what postgresql.conf says is to be read before. */
	synchronous_commit_of_server = pstrdup(GetConfigOption("synchronous_commit", false, false));
	mr_worker_connect(mr_process->database, mr_process->owner);
	pin_settings(synchronous_commit_of_server);
	mr_worker_pin_lock_timeout();
	keep_memory();
	mr_work_open(mr_process->ticket);

	while (!mr_database_is_held(MyDatabaseId) && (mr_seat != NULL || mr_turn_begin()) &&
		   serve(turn_to_seat()))
		;
	proc_exit(0);
}
