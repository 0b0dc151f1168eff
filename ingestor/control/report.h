/*
 * What an ingestor reports to the catalogue about itself and a pipeline's topic (millrace.report), for
 * millrace.doctor(): which versions run here, how long the topic keeps its messages, why a lane could not be opened.
 * Reported when the connection is new, when something changed, and once a minute, which shows that the ingestor is alive.
 *
 * Pure: pipeline_calls.c asks and reports. The main thread only; part of its pipeline.
 */
#ifndef MR_INGESTOR_REPORT_H
#define MR_INGESTOR_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/trouble.h"

#define MR_REPORT_EVERY_MS 60000

typedef struct MrReport
{
	bool retention_known;
	int64_t retention_ms; /* MR_RETENTION_FOR_EVER, or so long */
	MrTrouble lane;       /* why a lane cannot be opened */
	bool asking;          /* the broker, for the retention */
	bool reporting;       /* the call is queued or under way */
	bool changed;         /* since it was reported */
	int64_t ask_at_ms;
	int64_t report_at_ms;
	/* connections lost when it was reported: once there are more, it may not have arrived */
	uint64_t losses;
} MrReport;

extern bool mr_report_wants_retention(const MrReport *report, int64_t now_ms);
extern void mr_report_asked(MrReport *report, int64_t now_ms);
/* Not ok: the broker did not answer, or does not allow the question. What was known stays. */
extern void mr_report_answered(MrReport *report, bool ok, int64_t retention_ms);

/* Why a lane cannot be opened; NULL: none is in trouble. */
extern void mr_report_lane(MrReport *report, const char *error);

extern bool mr_report_is_due(const MrReport *report, int64_t now_ms, uint64_t losses);
extern void mr_report_sent(MrReport *report, int64_t now_ms, uint64_t losses);
/* Ask and report at the next opportunity. */
extern void mr_report_refresh(MrReport *report);

/* As a JSON object. */
extern void mr_report_put(const MrReport *report, const char *librdkafka, const char *libevent,
						  MrBuffer *out);

#endif
