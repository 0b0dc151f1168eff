/*
 * guc.c: the settings millrace.*. Read by every process; changed by the server's configuration only.
 */
#include "postgres.h"

#include "server/guc.h"

#include "utils/guc.h"

#include "server/shmem.h"

int mr_max_lanes = 1000;
int mr_max_workers = 1000;
int mr_segment_size_mb = 64;
int mr_ring_segments = 4;
int mr_max_segments = 16;
int mr_restart_interval_s = 1;
int mr_lock_timeout_ms = 5000;
int mr_batch_bytes_kb = 8192;
int mr_batch_memory_kb = 65536;
int mr_max_crashes = 2;
int mr_stats_retention_min = 7 * 24 * 60;
bool mr_live_statistics = true;
static int max_workers_per_role = 16; /* read by SQL: _check_workers() */
static int backfill_share = 25;       /* read by SQL: 68_window_backfill.sql */
static int backup_age_min = 0;        /* read by SQL: doctor(), metrics() */

void
mr_guc_set(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

static void define_live_statistics(void);
static void define_backfill_share(void);
static void define_ages(void);

void
mr_guc_define(bool preloading)
{
	if (preloading)
	{
		DefineCustomIntVariable("millrace.max_lanes",
								"Staging lanes that can be in use at a time on this server.",
								"Each ingestor takes as many of a pipeline as it has workers.",
								&mr_max_lanes, 1000, 1, 100000, PGC_POSTMASTER, 0, NULL, NULL,
								NULL);
		DefineCustomIntVariable("millrace.max_workers",
								"Workers that the pipelines of this server can have in all.",
								"They share the processes that max_worker_processes allows.",
								&mr_max_workers, 1000, 1, 100000, PGC_POSTMASTER, 0, NULL, NULL,
								NULL);
	}
	DefineCustomIntVariable("millrace.segment_size",
							"Size at which a staging segment is full and the next one is taken.",
							NULL, &mr_segment_size_mb, 64, 1, 1024, PGC_SIGHUP, GUC_UNIT_MB, NULL,
							NULL, NULL);
	DefineCustomIntVariable("millrace.ring_segments",
							"Segments of a lane that may hold staged events at a time.",
							"When all are full, the ingestor waits and Kafka keeps the events.",
							&mr_ring_segments, 4, 2, MR_SEGMENTS_MAX / 2, PGC_SIGHUP, 0, NULL, NULL,
							NULL);
	DefineCustomIntVariable(
		"millrace.max_segments",
		"Segments a lane may have in all, with spares for those that a lock keeps "
		"from being emptied.",
		NULL, &mr_max_segments, 16, 4, MR_SEGMENTS_MAX, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("millrace.restart_interval",
							"Shortest time between two starts of a failed worker.",
							"Doubled after each failure, up to 60 s.", &mr_restart_interval_s, 1, 1,
							3600, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("millrace.lock_timeout",
							"How long a worker waits for a lock before it gives the batch back.",
							NULL, &mr_lock_timeout_ms, 5000, 100, 3600000, PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("millrace.batch_bytes",
							"Bytes of events at which a worker's batch is closed.", NULL,
							&mr_batch_bytes_kb, 8192, 64, 1048576, PGC_SIGHUP, GUC_UNIT_KB, NULL,
							NULL, NULL);
	DefineCustomIntVariable(
		"millrace.batch_memory", "Bytes of rows that the transform may give for a batch.",
		"A batch that gives more is settled in smaller parts; an event that does so alone fails.",
		&mr_batch_memory_kb, 65536, 1024, MAX_KILOBYTES, PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("millrace.max_crashes",
							"Crashes of the server after which an event is a dead letter.",
							"Only those count in which the event was processed alone.",
							&mr_max_crashes, 2, 1, 100, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("millrace.max_workers_per_role",
							"Workers that the pipelines of a role may have in all, in a database.",
							"Checked when a pipeline is created or changed; superusers are exempt.",
							&max_workers_per_role, 16, 1, 10000, PGC_SIGHUP, 0, NULL, NULL, NULL);
	define_live_statistics();
	define_backfill_share();
	define_ages();
	MarkGUCPrefixReserved("millrace");
}

static void
define_live_statistics(void)
{
	DefineCustomBoolVariable(
		"millrace.live_statistics",
		"Whether workers keep rates, latencies and sizes of batches in shared memory.",
		"Totals, which are part of each batch's commit, are kept in any case.", &mr_live_statistics,
		true, PGC_SUSET, 0, NULL, NULL, NULL);
}

static void
define_backfill_share(void)
{
	DefineCustomIntVariable("millrace.backfill_share",
							"Share of a worker's time, in percent, that goes to filling new "
							"windows with the rows there are.",
							"The worker takes no batch meanwhile.", &backfill_share, 25, 1, 100,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
}

static void
define_ages(void)
{
	DefineCustomIntVariable("millrace.stats_retention",
							"How long the statistics of a minute are kept.",
							"They are what millrace.stats_history shows.", &mr_stats_retention_min,
							7 * 24 * 60, 60, 525600, PGC_SIGHUP, GUC_UNIT_MIN, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"millrace.backup_age", "Age of the oldest backup that would be restored, 0 when not known.",
		"doctor() and a metric say when a topic keeps its messages for a shorter time.",
		&backup_age_min, 0, 0, INT_MAX / 60, PGC_SUSET, GUC_UNIT_MIN, NULL, NULL, NULL);
}
