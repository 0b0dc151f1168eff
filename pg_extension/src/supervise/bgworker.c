/*
 * bgworker.c: what launcher, supervisor and workers have in common.
 */
#include "supervise/bgworker.h"

#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"

#include "server/clock.h"
#include "server/compat.h"
#include "server/guc.h"

bool
mr_worker_start(const char *name, const char *type, const char *function, Datum argument,
				BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = argument;
	strlcpy(worker.bgw_library_name, "millrace", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, function, sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, name, sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, type, sizeof(worker.bgw_type));
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

#if defined(USE_POSTMASTER_DEATH_SIGNAL) && defined(PR_GET_PDEATHSIG)
/*
 * The kernel's signal that the postmaster is gone. PostgreSQL's handler sets a flag for those who ask or wait; ours ends the
 * process at its next interrupt too, in the middle of a batch: a postmaster cannot start while one of the old one's
 * processes is attached to its shared memory.
 */
static void
end_without_postmaster(int number)
{
	postmaster_possibly_dead = true;
	die(number);
}

static void
watch_postmaster(void)
{
	int number = 0;

	if (prctl(PR_GET_PDEATHSIG, &number) == 0 && number > 0)
		pqsignal(number, end_without_postmaster);
}
#else
static void
watch_postmaster(void)
{
	/* mr_worker_attend() asks */
}
#endif

void
mr_worker_prepare(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	watch_postmaster();
	BackgroundWorkerUnblockSignals();
}

void
mr_worker_pin_settings(void)
{
	static const char *const pinned[][2] = {
		{"role", "none"},
		{"jit", "off"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"idle_in_transaction_session_timeout", "0"},
		{"statement_timeout", "0"},
		{"transaction_timeout", "0"}, /* from PostgreSQL 17 on */
		{"row_security", "on"},
	};

	for (int i = 0; i < lengthof(pinned); i++)
		if (GetConfigOption(pinned[i][0], true, false) != NULL)
			SetConfigOption(pinned[i][0], pinned[i][1], PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("application_name", MyBgworkerEntry->bgw_name, PGC_USERSET, PGC_S_OVERRIDE);
}

void
mr_worker_pin_lock_timeout(void)
{
	static int pinned_ms = -1;
	char lock_timeout[32];

	if (pinned_ms == mr_lock_timeout_ms)
		return;
	pinned_ms = mr_lock_timeout_ms;
	snprintf(lock_timeout, sizeof(lock_timeout), "%d", pinned_ms);
	SetConfigOption("lock_timeout", lock_timeout, PGC_USERSET, PGC_S_OVERRIDE);
}

void
mr_worker_attend(void)
{
	if (!PostmasterIsAlive()) /* a flag's test, as long as there was no signal */
		proc_exit(1);
	/* Held off, not cleared before: it may come in between. */
	HOLD_CANCEL_INTERRUPTS();
	CHECK_FOR_INTERRUPTS();
	QueryCancelPending = false;
	RESUME_CANCEL_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

static uint32
wait_event(MrWait wait)
{
	static const char *const names[] = {
		[MR_WAIT_WORK] = "MillraceIdle",
		[MR_WAIT_BACKOFF] = "MillraceBackoff",
		[MR_WAIT_PARKED] = "MillraceParkedEvents",
	};
	static uint32 events[lengthof(names)];

	if (events[wait] == 0)
		events[wait] = mr_wait_event_new(names[wait]);
	return events[wait];
}

void
mr_worker_sleep_until(int64 at, MrWait wait)
{
	int64 us = Max(at - mr_clock_us(), 0);

	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 (long) (us + 999) / 1000, wait_event(wait));
	ResetLatch(MyLatch);
	mr_worker_attend();
}
