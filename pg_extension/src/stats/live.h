/*
 * live.h: what pipelines do now, in shared memory: rates over the last seconds to an hour, and latencies.
 *
 * Workers add to it after the commit of a batch, by atomic additions only: nobody waits for a lock, and a reader takes
 * none that a worker needs. It is lost at a restart of the server. Totals that must be true are in millrace.progress,
 * in the commit of each batch; what is here may miss a few events at the turn of a second.
 */
#ifndef MR_LIVE_H
#define MR_LIVE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"

#include "stats/histogram.h"

/* What is counted. */
typedef enum MrLiveCounter
{
	MR_LIVE_EVENTS, /* settled for the first time */
	MR_LIVE_ROWS,
	MR_LIVE_BYTES,   /* of payload */
	MR_LIVE_FAILED,  /* tries that failed */
	MR_LIVE_DEAD,    /* events that became dead letters */
	MR_LIVE_RETRIED, /* tries after the first */
	MR_LIVE_BATCHES,
	MR_LIVE_BUSY_US, /* time of the workers, from reading a batch to its commit */
	MR_LIVE_TAKEN,   /* events that the batches had, those that were tried again included */
	MR_LIVE_COUNTERS
} MrLiveCounter;

typedef enum MrLatency
{
	MR_PRODUCED_TO_STAGED,
	MR_STAGED_TO_VISIBLE,
	MR_PRODUCED_TO_VISIBLE,
	MR_LATENCIES
} MrLatency;

/* Batches are counted by their size: at most 1, 4, 16 and so on to 65536 events, and last the larger ones. */
#define MR_BATCH_BOUNDS 9
#define MR_BATCH_SIZES  (MR_BATCH_BOUNDS + 1)

/* What one batch adds. */
typedef struct MrObservation
{
	uint64 counters[MR_LIVE_COUNTERS];
	uint32 latency[MR_LATENCIES][MR_HISTOGRAM_BUCKETS];
	int64 max_us[MR_LATENCIES];
	uint64 sum_us[MR_LATENCIES]; /* of all that are in the histogram */
	uint64 without_time;         /* events whose message has no timestamp */
	uint64 from_future; /* whose timestamp lies in the future: of producers with a wrong clock */
} MrObservation;

/* Rates are per second, over these windows. */
#define MR_LIVE_WINDOWS 5
extern const int mr_live_window_s[MR_LIVE_WINDOWS]; /* 1, 10, 60, 300, 3600 */

/* What a reader gets of a pipeline. */
typedef struct MrLiveReading
{
	int32 pipeline_id;
	uint64 total
		[MR_LIVE_COUNTERS]; /* since the server was started, or the pipeline came into shared memory */
	double rate[MR_LIVE_WINDOWS][MR_LIVE_COUNTERS];
	uint64 latency[MR_LATENCIES][MR_HISTOGRAM_BUCKETS];       /* of the last minute */
	int64 max_us[MR_LATENCIES];                               /* likewise, -1 none */
	uint64 latency_total[MR_LATENCIES][MR_HISTOGRAM_BUCKETS]; /* as long as `total` */
	uint64 sum_us[MR_LATENCIES];                              /* likewise */
	uint64 sizes[MR_BATCH_SIZES];                             /* batches by size, likewise */
	uint64 largest; /* batch of the last minute, in events; 0: there was none */
	uint64 without_time;
	uint64 from_future;
} MrLiveReading;

/* What came since the last minute was taken. */
typedef struct MrLiveMinute
{
	uint64 latency[MR_LATENCIES][MR_HISTOGRAM_BUCKETS];
	int64 max_us[MR_LATENCIES]; /* -1 none */
	uint64 batches;
	uint64 busy_us;
	uint64 largest; /* batch, in events; 0: there was none */
} MrLiveMinute;

extern void mr_live_install_hooks(void);

/* Where a worker adds; zero at first. */
typedef struct MrLiveSeat
{
	struct Live *slot;
	int64 look_at; /* without a slot: when to look for one again */
} MrLiveSeat;

/*
 * Adds a batch of a pipeline of this database. Takes a lock for the first batch only; when there is no room for the
 * pipeline it does nothing, and looks for room once a second.
 */
extern void mr_live_add(MrLiveSeat *seat, Oid extension, int32 pipeline_id,
						const MrObservation *seen);

/*
 * Reads the pipelines of this database: calls back with each. The reading is valid in the call only.
 */
extern void mr_live_read(Oid extension, void (*take)(void *arg, const MrLiveReading *reading),
						 void *arg);

/* For the supervisor, once a minute: what a pipeline added since the last call. False: nothing is known of it. */
extern bool mr_live_take_minute(Oid extension, int32 pipeline_id, MrLiveMinute *minute);

#endif /* MR_LIVE_H */
