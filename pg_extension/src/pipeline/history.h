/*
 * history.h: removing rows that are not needed any more.
 */
#ifndef MR_HISTORY_H
#define MR_HISTORY_H

/*
 * Keeps the newest 300 rows of progress of each partition, for event_status(). Runs in the supervisor, in a transaction of
 * its own.
 */
extern void mr_history_trim(void);

/*
 * Deletes some of the dead letters that have ended longer ago than their pipeline's dead_letter_retention
 * (sql/53_purge.sql), in steps. The same.
 */
extern void mr_history_purge(void);

/* Empties the partition for the next hour's keys of requests, which holds those of 25 hours ago (sql/65_idempotency.sql). The same. */
extern void mr_history_empty_keys(void);

#endif /* MR_HISTORY_H */
