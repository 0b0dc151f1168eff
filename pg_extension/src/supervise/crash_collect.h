/*
 * crash_collect.h: from what crashed workers have left to rows of millrace.crash_suspect (fail/crash.h).
 */
#ifndef MR_CRASH_COLLECT_H
#define MR_CRASH_COLLECT_H

/*
 * In the supervisor: makes suspicions of the records of workers that have crashed or ended badly. Workers that start
 * afterwards, and those that run, know of them from their next batch on.
 */
extern void mr_crash_collect(void);

/* In the supervisor, now and then: removes suspicions that are void. */
extern void mr_crash_forget(void);

#endif /* MR_CRASH_COLLECT_H */
