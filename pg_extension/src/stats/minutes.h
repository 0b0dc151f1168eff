/*
 * minutes.h: the history of the statistics, a row per pipeline and minute in millrace.stats_minute.
 */
#ifndef MR_MINUTES_H
#define MR_MINUTES_H

#include "postgres.h"

/*
 * Writes the rows of the minute that has ended, unless they are there, and removes old ones. Runs in the supervisor,
 * outside of a transaction; cheap when it is too early. An error is in the log. Returns in how many µs to call it again.
 */
extern int64 mr_minutes_record(void);

#endif /* MR_MINUTES_H */
