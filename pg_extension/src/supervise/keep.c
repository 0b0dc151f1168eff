/*
 * keep.c: see keep.h. Runs in the launcher and in supervisors.
 */
#include "supervise/keep.h"

#include "server/guc.h"

static bool
has_ended(const MrKeeping *keeping, const MrChild *child)
{
	pid_t pid;

	return child->handle != NULL ? GetBackgroundWorkerPid(child->handle, &pid) == BGWH_STOPPED
								 : keeping->adopted_has_ended(child);
}

static void
note_end(const MrKeeping *keeping, MrChild *child, int64 now)
{
	if (child->handle != NULL)
		pfree(child->handle);
	child->handle = NULL;
	child->running = false;
	if (keeping->ended(child))
		mr_restart_note_exit(&child->restart, mr_restart_interval_s);
	else
		mr_restart_note_failure(&child->restart, now, mr_restart_interval_s);
}

static void
start(const MrKeeping *keeping, MrChild *child, int64 now)
{
	child->restart.started_at = now;
	child->running = keeping->start(child);
	if (child->running)
		return;
	child->handle = NULL;
	child->restart.next_start = now + keeping->no_slot_us;
}

void
mr_keep_look(const MrKeeping *keeping, MrChild *child, int64 now)
{
	if (child->running && has_ended(keeping, child))
		note_end(keeping, child, now);
}

int64
mr_keep(const MrKeeping *keeping, MrChild *child, bool wanted, int64 now, int64 look_at)
{
	mr_keep_look(keeping, child, now);
	if (child->running)
		return look_at;
	if (!wanted)
	{
		child->restart.backoff_s = 0;
		return look_at;
	}
	if (child->restart.next_start <= now)
		start(keeping, child, now);
	return child->running ? look_at : Min(look_at, child->restart.next_start);
}
