/*
 * restart_policy.h: how long to wait before a process that ended is started again. Pure.
 */
#ifndef MR_RESTART_POLICY_H
#define MR_RESTART_POLICY_H

#include <stdint.h>

/* Of one process that is to run. Times as a TimestampTz has them, in microseconds. */
typedef struct MrRestart
{
	int64_t started_at;
	int64_t next_start; /* not before */
	int backoff_s;      /* after the next failure; 0: it never failed */
} MrRestart;

/*
 * It has failed: the wait doubles each time, from first_s up to a minute, and is forgiven to one that lived for
 * half a minute.
 */
extern void mr_restart_note_failure(MrRestart *restart, int64_t now, int first_s);
/*
 * It has ended as it should, as there was nothing to do for it. It may be started again at once, but for one that was started
 * less than first_s ago. Earlier failures still count.
 */
extern void mr_restart_note_exit(MrRestart *restart, int first_s);

#endif /* MR_RESTART_POLICY_H */
