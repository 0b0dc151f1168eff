/* When to report, and in which words. */
#include "ingestor/control/report.h"

#include <inttypes.h>

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

/* The libraries' versions are digits, dots and words: nothing that JSON wants escaped. */
void
mr_report_put(const MrReport *report, const char *librdkafka, const char *libevent, MrBuffer *out)
{
	mr_buffer_printf(out, "{\"version\": \"%s\", \"librdkafka\": \"%s\", \"libevent\": \"%s\"",
					 MR_VERSION, librdkafka, libevent);
	if (report->retention_known)
		mr_buffer_printf(out, ", \"retention_ms\": %" PRId64, report->retention_ms);
	mr_buffer_append(out, "}", 1);
}
