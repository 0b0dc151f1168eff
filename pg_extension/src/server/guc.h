/*
 * guc.h: the extension's settings (millrace.*), see guc.c for their meaning, units and bounds.
 */
#ifndef MR_GUC_H
#define MR_GUC_H

extern int mr_max_lanes;
extern int mr_max_workers;
extern int mr_segment_size_mb;
extern int mr_ring_segments;
extern int mr_max_segments;
extern int mr_restart_interval_s;
extern int mr_lock_timeout_ms;
extern int mr_batch_bytes_kb;
extern int mr_batch_memory_kb;
extern int mr_max_crashes;
extern int mr_stats_retention_min;
extern bool mr_live_statistics;

/* Gives any setting of the session a value until the end of the GUC nest level, which the caller has begun. */
extern void mr_guc_set(const char *name, const char *value);

/* Declares all settings; `preloading` also declares those that only the server's start can set. */
extern void mr_guc_define(bool preloading);

#endif /* MR_GUC_H */
