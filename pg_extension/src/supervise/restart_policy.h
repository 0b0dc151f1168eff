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
	int backoff_s;      /* after the next end; 0: it never ended */
} MrRestart;

/*
 * It has ended: the wait doubles each time, from first_s up to a minute, and is forgiven to one that lived for
 * half a minute.
 */
extern void mr_restart_note_end(MrRestart *restart, int64_t now, int first_s);

#endif /* MR_RESTART_POLICY_H */
