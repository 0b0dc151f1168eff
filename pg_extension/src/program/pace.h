/*
 * pace.h: how large the batches of a source are: a lane, or millrace.retry. Pure: what happened is a parameter.
 *
 * After trouble they are small, and grow back while all goes well. And a batch has more than MR_PACE_PLAIN events only where
 * batches have proven quick: with a random key a large one costs less per event, since more of its rows go to the same page of
 * the index, but where an event takes long it would hold its locks, and hide its rows, for as long as all of them take.
 */
#ifndef MR_PACE_H
#define MR_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/breaker.h"

#define MR_PACE_EVENTS_MAX 100000 /* the most batch_rows can be */
#define MR_PACE_PLAIN      20000

/*
 * A message of several documents (program/documents.h) that cannot be settled in one commit, since too many of them fail or
 * their rows are too large: it has to come in smaller parts, and has none. So its documents are all put to millrace.retry, due
 * at once, and are tried from there in batches of any size.
 */
typedef struct MrTorn
{
	int32_t partition;
	int64_t offset;
	bool due; /* when it comes again */
} MrTorn;

typedef struct MrPace
{
	MrBreaker breaker; /* the worker moves it; asked in the engine and in the verdict */
	int event_limit;   /* smaller after trouble, grows back */
	int clean;         /* batches settled since it was changed */
	bool large;        /* batches of batch_rows events are quick */
	MrTorn torn;       /* of the source's next batch: each of several sources may have one */
} MrPace;

/* Nothing is known of the source: its breaker is closed, its batches have up to MR_PACE_PLAIN events. */
extern void mr_pace_init(MrPace *pace);

/* Trouble has made the batches smaller, and they have not grown back. */
extern bool mr_pace_is_reduced(const MrPace *pace);

/* The most events of the next batch. */
extern int mr_pace_events(const MrPace *pace, int batch_rows);
/* The same without what trouble does: so many are read. */
extern int mr_pace_read(const MrPace *pace, int batch_rows);

/* A batch of so many events was settled in took_us. */
extern void mr_pace_settled(MrPace *pace, int batch_rows, int events, int64_t took_us);
/* A batch of so many events was rolled back; trouble: by what is no event's fault. */
extern void mr_pace_rolled_back(MrPace *pace, int events, bool trouble);

#endif /* MR_PACE_H */
