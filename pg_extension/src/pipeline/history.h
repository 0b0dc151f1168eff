/*
 * history.h: removing progress rows that are not needed any more.
 */
#ifndef MR_HISTORY_H
#define MR_HISTORY_H

/*
 * Keeps about five minutes of progress per partition, for rates. Runs in the supervisor, in a transaction of
 * its own.
 */
extern void mr_history_trim(void);

#endif /* MR_HISTORY_H */
