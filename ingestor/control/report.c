/* When to report, and in which words. */
#include "ingestor/control/report.h"

#include <inttypes.h>

#include "common/json.h"
#include "common/version.h"

bool
mr_report_wants_retention(const MrReport *report, int64_t now_ms)
{
	return !report->asking && now_ms >= report->ask_at_ms;
}

void
mr_report_asked(MrReport *report, int64_t now_ms)
{
	report->asking = true;
	report->ask_at_ms = now_ms + MR_REPORT_EVERY_MS;
}

void
mr_report_answered(MrReport *report, bool ok, int64_t retention_ms)
{
	report->asking = false;
	if (!ok || (report->retention_known && report->retention_ms == retention_ms))
		return;
	report->retention_known = true;
	report->retention_ms = retention_ms;
	report->changed = true;
}

void
mr_report_lane(MrReport *report, const char *error)
{
	if (error == NULL)
	{
		report->changed = report->changed || mr_trouble_is_set(&report->lane);
		mr_trouble_clear(&report->lane);
	}
	else if (mr_trouble_set(&report->lane, error) == MR_LOG_WARN)
		report->changed = true;
}

bool
mr_report_is_due(const MrReport *report, int64_t now_ms, uint64_t losses)
{
	return !report->reporting &&
		   (report->changed || report->losses != losses || now_ms >= report->report_at_ms);
}

void
mr_report_sent(MrReport *report, int64_t now_ms, uint64_t losses)
{
	report->reporting = true;
	report->changed = false;
	report->losses = losses;
	report->report_at_ms = now_ms + MR_REPORT_EVERY_MS;
}

void
mr_report_refresh(MrReport *report)
{
	report->ask_at_ms = report->report_at_ms = 0;
}

/*
 * The libraries' versions are digits, dots and words: nothing that JSON wants escaped. Trouble that is over is reported
 * as null, which takes it away.
 */
void
mr_report_put(const MrReport *report, const char *librdkafka, const char *libevent, MrBuffer *out)
{
	mr_buffer_printf(out, "{\"version\": \"%s\", \"librdkafka\": \"%s\", \"libevent\": \"%s\"",
					 MR_VERSION, librdkafka, libevent);
	if (report->retention_known)
		mr_buffer_printf(out, ", \"retention_ms\": %" PRId64, report->retention_ms);
	mr_buffer_printf(out, ", \"lane_error\": ");
	if (mr_trouble_is_set(&report->lane))
		mr_json_put_string(out, report->lane.text);
	else
		mr_buffer_append(out, "null", 4);
	mr_buffer_append(out, "}", 1);
}
