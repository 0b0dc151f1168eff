/*
 * What an ingestor tells the catalogue of itself and of a pipeline's topic (millrace.report), for
 * millrace.doctor(): which versions run here, how long the topic keeps its messages. Told when the
 * connection is new, when something changed, and once a minute, so that it shows that somebody is there.
 *
 * Pure: pipeline_calls.c asks and tells. The main thread only; part of its pipeline.
 */
#ifndef MR_INGESTOR_REPORT_H
#define MR_INGESTOR_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buffer.h"

#define MR_REPORT_EVERY_MS 60000

typedef struct MrReport
{
	bool retention_known;
	int64_t retention_ms; /* MR_RETENTION_FOR_EVER, or so long */
	bool asking;          /* the broker, for the retention */
	bool telling;         /* the call is queued or under way */
	bool changed;         /* since it was told */
	int64_t ask_at_ms;
	int64_t tell_at_ms;
	/* connections lost when it was told: once there are more, maybe nobody has heard it */
	uint64_t losses;
} MrReport;

extern bool mr_report_wants_retention(const MrReport *report, int64_t now_ms);
extern void mr_report_asked(MrReport *report, int64_t now_ms);
/* Not ok: a broker that is away, or that does not let us ask. What was known stays. */
extern void mr_report_answered(MrReport *report, bool ok, int64_t retention_ms);

extern bool mr_report_is_due(const MrReport *report, int64_t now_ms, uint64_t losses);
extern void mr_report_told(MrReport *report, int64_t now_ms, uint64_t losses);
/* Ask and tell at the next opportunity. */
extern void mr_report_refresh(MrReport *report);

/* As a JSON object. */
extern void mr_report_put(const MrReport *report, const char *librdkafka, const char *libevent,
						  MrBuffer *out);

#endif
