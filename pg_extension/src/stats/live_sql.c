/*
 * live_sql.c: the live statistics in SQL. Internal functions, called by the extension's owner only. Run in any backend.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "server/catalog.h"
#include "stats/live.h"

static const char *const latency_name[MR_LATENCIES] = {
	[MR_PRODUCED_TO_STAGED] = "produced_to_staged",
	[MR_STAGED_TO_VISIBLE] = "staged_to_visible",
	[MR_PRODUCED_TO_VISIBLE] = "produced_to_visible",
};

static void
read_into(FunctionCallInfo fcinfo, void (*take)(void *arg, const MrLiveReading *reading))
{
	InitMaterializedSRF(fcinfo, 0);
	mr_live_read(mr_extension_oid(), take, fcinfo->resultinfo);
}

static void
put(ReturnSetInfo *result, Datum *values, bool *nulls)
{
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
put_rates(void *arg, const MrLiveReading *reading)
{
	for (int w = 0; w < MR_LIVE_WINDOWS; w++)
	{
		Datum values[2 + MR_LIVE_COUNTERS];
		bool nulls[2 + MR_LIVE_COUNTERS] = {false};

		values[0] = Int32GetDatum(reading->pipeline_id);
		values[1] = Int32GetDatum(mr_live_window_s[w]);
		for (int i = 0; i < MR_LIVE_COUNTERS; i++)
			values[2 + i] = Float8GetDatum(reading->rate[w][i]);
		put(arg, values, nulls);
	}
}

PG_FUNCTION_INFO_V1(mr_sql_live_rates);

/*
 * millrace._live_rates() RETURNS TABLE (pipeline_id integer, window_s integer, events, rows, bytes, failed, dead, retried,
 *   batches, busy_us, taken, all of them float8: per second)
 */
Datum
mr_sql_live_rates(PG_FUNCTION_ARGS)
{
	read_into(fcinfo, put_rates);
	return (Datum) 0;
}

static void
put_latencies(void *arg, const MrLiveReading *reading)
{
	for (int l = 0; l < MR_LATENCIES; l++)
	{
		static const double quantiles[] = {0.5, 0.95, 0.99};
		const uint64 *counts = reading->latency[l];
		double max_ms = (double) reading->max_us[l] / 1000;
		Datum values[7];
		bool nulls[7] = {false};
		int64 n = 0;

		for (int i = 0; i < MR_HISTOGRAM_BUCKETS; i++)
			n += (int64) counts[i];
		values[0] = Int32GetDatum(reading->pipeline_id);
		values[1] = CStringGetTextDatum(latency_name[l]);
		values[2] = Int64GetDatum(n);
		for (int q = 0; q < lengthof(quantiles); q++)
			values[3 + q] =
				Float8GetDatum(Min(mr_histogram_quantile(counts, quantiles[q]) / 1000, max_ms));
		values[6] = Float8GetDatum(max_ms);
		if (n == 0 || reading->max_us[l] < 0)
			nulls[3] = nulls[4] = nulls[5] = nulls[6] = true;
		put(arg, values, nulls);
	}
}

PG_FUNCTION_INFO_V1(mr_sql_live_latencies);

/*
 * millrace._live_latencies() RETURNS TABLE (pipeline_id integer, stage text, events bigint, p50_ms float8, p95_ms float8,
 *   p99_ms float8, max_ms float8) of the last minute
 */
Datum
mr_sql_live_latencies(PG_FUNCTION_ARGS)
{
	read_into(fcinfo, put_latencies);
	return (Datum) 0;
}

static Datum
counts_array(const uint64 *counts, int n)
{
	Datum values[MR_HISTOGRAM_BUCKETS];

	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum((int64) counts[i]);
	return PointerGetDatum(
		construct_array(values, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static void
put_totals(void *arg, const MrLiveReading *reading)
{
	uint64 at_most[MR_BATCH_SIZES];
	Datum values[8];
	bool nulls[8] = {false};

	for (int i = 0; i < MR_BATCH_SIZES; i++)
		at_most[i] = reading->sizes[i] + (i > 0 ? at_most[i - 1] : 0);
	values[0] = Int32GetDatum(reading->pipeline_id);
	values[1] = Int64GetDatum((int64) reading->total[MR_LIVE_BATCHES]);
	values[2] = Float8GetDatum((double) reading->total[MR_LIVE_BUSY_US] / 1e6);
	values[3] = Int64GetDatum((int64) reading->without_time);
	values[4] = Int64GetDatum((int64) reading->from_future);
	values[5] = Int64GetDatum((int64) reading->total[MR_LIVE_TAKEN]);
	values[6] = counts_array(at_most, MR_BATCH_SIZES);
	values[7] = Int64GetDatum((int64) reading->largest);
	nulls[7] = reading->largest == 0;
	put(arg, values, nulls);
}

PG_FUNCTION_INFO_V1(mr_sql_live_totals);

/*
 * millrace._live_totals() RETURNS TABLE (pipeline_id integer, batches bigint, busy_s float8, without_time bigint,
 *   from_future bigint, taken bigint, batch_sizes bigint[], largest_batch bigint) since the server was started; batch_sizes: how
 * many batches had at most 1, 4, 16 and so on to 65536 events, and last how many there were; largest_batch: of the last minute
 */
Datum
mr_sql_live_totals(PG_FUNCTION_ARGS)
{
	read_into(fcinfo, put_totals);
	return (Datum) 0;
}

/* Each fourth bucket ends at a power of two; so many of them are shown. */
#define BOUNDS         16
#define FIRST_BOUND_US INT64_C(1024)

static void
put_histograms(void *arg, const MrLiveReading *reading)
{
	for (int l = 0; l < MR_LATENCIES; l++)
	{
		uint64 shorter[BOUNDS + 1] = {0};
		Datum values[4];
		bool nulls[4] = {false};

		for (int i = 0; i < MR_HISTOGRAM_BUCKETS; i++)
			for (int b = 0; b <= BOUNDS; b++)
				if (b == BOUNDS || mr_histogram_end(i) <= FIRST_BOUND_US << b)
					shorter[b] += reading->latency_total[l][i];
		values[0] = Int32GetDatum(reading->pipeline_id);
		values[1] = CStringGetTextDatum(latency_name[l]);
		values[2] = counts_array(shorter, BOUNDS + 1);
		values[3] = Float8GetDatum((double) reading->sum_us[l] / 1e6);
		put(arg, values, nulls);
	}
}

PG_FUNCTION_INFO_V1(mr_sql_live_histograms);

/*
 * millrace._live_histograms() RETURNS TABLE (pipeline_id integer, stage text, shorter bigint[], sum_s float8): how many
 * events had a latency below 1.024 ms, below twice that, and so on to 33.6 s, and last how many there were; the sum of
 * their latencies. Since the server was started.
 */
Datum
mr_sql_live_histograms(PG_FUNCTION_ARGS)
{
	read_into(fcinfo, put_histograms);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(mr_sql_live_take_minute);

/*
 * millrace._live_take_minute(pipeline_id integer, OUT batches bigint, OUT busy_s float8, OUT latency of each stage bigint[],
 *   OUT max of each stage float8 in ms, OUT largest_batch bigint): what came since the last call; all null when nothing is known
 */
Datum
mr_sql_live_take_minute(PG_FUNCTION_ARGS)
{
	MrLiveMinute *minute = palloc(sizeof(MrLiveMinute));
	Datum values[3 + 2 * MR_LATENCIES] = {0};
	bool nulls[3 + 2 * MR_LATENCIES];
	TupleDesc desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	memset(nulls, true, sizeof(nulls));
	if (mr_live_take_minute(mr_extension_oid(), PG_GETARG_INT32(0), minute))
	{
		values[0] = Int64GetDatum((int64) minute->batches);
		values[1] = Float8GetDatum((double) minute->busy_us / 1e6);
		values[2 + 2 * MR_LATENCIES] = Int64GetDatum((int64) minute->largest);
		nulls[0] = nulls[1] = false;
		nulls[2 + 2 * MR_LATENCIES] = minute->largest == 0;
		for (int l = 0; l < MR_LATENCIES; l++)
		{
			values[2 + l] = counts_array(minute->latency[l], MR_HISTOGRAM_BUCKETS);
			values[2 + MR_LATENCIES + l] = Float8GetDatum((double) minute->max_us[l] / 1000);
			/* an idle minute has no histogram: it would only take room */
			nulls[2 + l] = nulls[2 + MR_LATENCIES + l] = minute->max_us[l] < 0;
		}
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
