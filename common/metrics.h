/*
 * Prometheus text exposition (version 0.0.4), written on demand: programs keep plain counters
 * where things happen and walk them when /metrics is asked for. No registry, no locks.
 *
 *   mr_metrics_family(out, "millrace_ingestor_events_total", "counter", "Events staged.");
 *   mr_metrics_value(out, "millrace_ingestor_events_total", 42, "pipeline", name, NULL);
 */
#ifndef MR_COMMON_METRICS_H
#define MR_COMMON_METRICS_H

#include <stdint.h>

#include "common/buffer.h"

#define MR_HISTOGRAM_BUCKETS 14

/* Durations, in buckets that double from 0.5 ms. */
typedef struct MrHistogram
{
	uint64_t buckets[MR_HISTOGRAM_BUCKETS];
	uint64_t count;
	double sum;
} MrHistogram;

extern void mr_metrics_family(MrBuffer *out, const char *name, const char *type, const char *help);
/* Label pairs (name, value) follow, ended by NULL. */
extern void mr_metrics_value(MrBuffer *out, const char *name, double value, ...)
	__attribute__((sentinel));
extern void mr_metrics_histogram(MrBuffer *out, const char *name, const MrHistogram *histogram,
								 const char *label, const char *label_value);
extern void mr_histogram_add(MrHistogram *histogram, double seconds);
/* process_cpu_seconds_total, process_resident_memory_bytes, process_open_fds, start time. */
extern void mr_metrics_process(MrBuffer *out);

#endif
