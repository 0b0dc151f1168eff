/*
 * restart_policy.c: see restart_policy.h. Needs no server; tested by itself.
 */
#include "supervise/restart_policy.h"

#define SECOND        INT64_C(1000000)
#define BACKOFF_MAX_S 60
#define HEALTHY_S     30

void
mr_restart_note_failure(MrRestart *restart, int64_t now, int first_s)
{
	if (restart->backoff_s < first_s || now - restart->started_at >= HEALTHY_S * SECOND)
		restart->backoff_s = first_s;
	restart->next_start = now + restart->backoff_s * SECOND;
	restart->backoff_s =
		restart->backoff_s * 2 < BACKOFF_MAX_S ? restart->backoff_s * 2 : BACKOFF_MAX_S;
}

void
mr_restart_note_exit(MrRestart *restart, int first_s)
{
	restart->next_start = restart->started_at + first_s * SECOND;
}
