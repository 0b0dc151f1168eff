/*
 * observe.c: see observe.h. Runs in workers.
 *
 * One pass over the events of the batch. Kafka's timestamps are milliseconds and neighbours mostly share one, so the
 * buckets of an event are mostly those of the event before.
 */
#include "engine/observe.h"

#include "utils/timestamp.h"

#include "server/clock.h"
#include "server/guc.h"
#include "stats/live.h"

/* A producer's clock may be ahead of ours by so much; beyond it is a wrong one. */
#define AHEAD_MS 1000

static void
add_latency(MrObservation *seen, MrLatency latency, int64 us, uint32 n)
{
	us = Max(us, 0);
	seen->latency[latency][mr_histogram_bucket(us)] += n;
	seen->max_us[latency] = Max(seen->max_us[latency], us);
	seen->sum_us[latency] += (uint64) us * n;
}

/* `n` events that became visible now: produced at `kafka_ts`, staged at `staged_ms` (0: not known, or long ago). */
static void
add_visible(MrObservation *seen, int64 kafka_ts, int64 staged_ms, int64 now_ms, uint32 n)
{
	if (n == 0)
		return;
	if (kafka_ts < 0)
	{
		seen->without_time += n;
		return;
	}
	if (kafka_ts > now_ms + AHEAD_MS)
	{
		seen->from_future += n;
		return;
	}
	add_latency(seen, MR_PRODUCED_TO_VISIBLE, (now_ms - kafka_ts) * 1000, n);
	if (staged_ms != 0)
		add_latency(seen, MR_PRODUCED_TO_STAGED, (staged_ms - kafka_ts) * 1000, n);
}

static void
count(MrObservation *seen, const MrEvent *event)
{
	if (event->retry == NULL)
	{
		seen->counters[MR_LIVE_EVENTS]++;
		if (event->payload != NULL && !event->of_counted)
			seen->counters[MR_LIVE_BYTES] += VARSIZE_ANY_EXHDR(event->payload);
	}
	seen->counters[MR_LIVE_RETRIED] += mr_event_is_tried_again(event);
	if (event->outcome.state == MR_WRITTEN)
		seen->counters[MR_LIVE_ROWS] += event->rows;
	if (event->outcome.state == MR_DEAD)
		seen->counters[MR_LIVE_DEAD]++;
	if (event->outcome.state == MR_DEAD || event->outcome.state == MR_RETRYING)
		seen->counters[MR_LIVE_FAILED]++;
}

/* The moment that a batch became visible, on both clocks. */
typedef struct Moment
{
	int64 ms; /* since 1970 */
	int64 us; /* of mr_clock_us() */
} Moment;

/*
 * Events [first, first + n), which were staged at the same moment (all 0: not known, or by another transaction). Producers have
 * the wall clock only; from staging on it is this server's business alone, and setting the clock changes nothing.
 */
static void
observe_events(MrObservation *seen, const MrBatch *batch, int first, int n, MrStagedAt staged_at,
			   const Moment *now)
{
	int64 staged_ms = staged_at.at_us != 0 ? mr_timestamp_to_unix_ms(staged_at.at) : 0;
	int64 kafka_ts = -1;
	uint32 same = 0;
	uint32 visible = 0;

	for (int i = first; i < first + n; i++)
	{
		const MrEvent *event = &batch->events[i];

		count(seen, event);
		if (event->outcome.state != MR_WRITTEN)
			continue;
		visible++;
		if (event->kafka_ts != kafka_ts)
		{
			add_visible(seen, kafka_ts, staged_ms, now->ms, same);
			kafka_ts = event->kafka_ts;
			same = 0;
		}
		same++;
	}
	add_visible(seen, kafka_ts, staged_ms, now->ms, same);
	if (staged_at.at_us != 0 && visible > 0)
		add_latency(seen, MR_STAGED_TO_VISIBLE, now->us - staged_at.at_us, visible);
}

void
mr_observe_batch(MrLiveSeat *seat, Oid extension, int32 pipeline_id, const MrBatch *batch,
				 int64 began_us)
{
	static MrObservation seen;
	Moment now = {mr_timestamp_to_unix_ms(GetCurrentTimestamp()), mr_clock_us()};
	int observed = 0;

	if (batch->nevents == 0 || !mr_live_statistics)
		return;
	memset(&seen, 0, sizeof(seen));
	for (int l = 0; l < MR_LATENCIES; l++)
		seen.max_us[l] = -1;
	for (int i = 0; i < batch->nsettled; i++)
	{
		const MrStagedBatch *staged = &batch->staged[i];

		observe_events(&seen, batch, observed, staged->admitted, staged->staged_at, &now);
		observed += staged->admitted;
	}
	observe_events(&seen, batch, observed, batch->nevents - observed, (MrStagedAt){0}, &now);
	seen.counters[MR_LIVE_BATCHES] = 1;
	seen.counters[MR_LIVE_TAKEN] = batch->nevents;
	seen.counters[MR_LIVE_BUSY_US] = mr_clock_us() - began_us;
	mr_live_add(seat, extension, pipeline_id, &seen);
}
