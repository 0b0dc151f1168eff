/*
 * histogram_sql.c: histograms in SQL, as arrays of counts: their sum, and quantiles of it. Run in any backend.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"

#include "stats/histogram.h"

/* The counts of an argument; an error when it is no histogram. */
static int64 *
counts_of(ArrayType *array)
{
	if (ARR_NDIM(array) != 1 || ARR_DIMS(array)[0] != MR_HISTOGRAM_BUCKETS || ARR_HASNULL(array))
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR), errmsg("array is not a histogram"),
						errdetail("A histogram of millrace has %d counts, none of them null.",
								  MR_HISTOGRAM_BUCKETS),
						errhint("Take it from a column of millrace.stats_history, or from "
								"histogram_sum() of one.")));
	return (int64 *) ARR_DATA_PTR(array);
}

PG_FUNCTION_INFO_V1(mr_sql_histogram_add);

/* millrace._histogram_add(state bigint[], counts bigint[]) RETURNS bigint[]: of the aggregate histogram_sum(). */
Datum
mr_sql_histogram_add(PG_FUNCTION_ARGS)
{
	bool in_place = AggCheckCallContext(fcinfo, NULL) == AGG_CONTEXT_AGGREGATE;
	ArrayType *state = in_place ? PG_GETARG_ARRAYTYPE_P(0) : PG_GETARG_ARRAYTYPE_P_COPY(0);
	int64 *sum = counts_of(state);
	const int64 *counts = counts_of(PG_GETARG_ARRAYTYPE_P(1));

	for (int i = 0; i < MR_HISTOGRAM_BUCKETS; i++)
		sum[i] += counts[i];
	PG_RETURN_ARRAYTYPE_P(state);
}

PG_FUNCTION_INFO_V1(mr_sql_histogram_checked);

/* millrace._histogram_checked(state bigint[]) RETURNS bigint[]: the state, if it is a histogram. */
Datum
mr_sql_histogram_checked(PG_FUNCTION_ARGS)
{
	ArrayType *state = PG_GETARG_ARRAYTYPE_P(0);

	(void) counts_of(state);
	PG_RETURN_ARRAYTYPE_P(state);
}

PG_FUNCTION_INFO_V1(mr_sql_histogram_quantile);

/* millrace.histogram_quantile(counts bigint[], quantile float8) RETURNS float8, in ms */
Datum
mr_sql_histogram_quantile(PG_FUNCTION_ARGS)
{
	const int64 *counts = counts_of(PG_GETARG_ARRAYTYPE_P(0));
	float8 q = PG_GETARG_FLOAT8(1);
	double us;

	if (!(q >= 0 && q <= 1))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("quantile must be from 0 to 1"), errdetail("It is %g.", q)));
	us = mr_histogram_quantile((const uint64_t *) counts, q);
	if (us < 0)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(us / 1000);
}

PG_FUNCTION_INFO_V1(mr_sql_histogram_ends);

/* millrace.histogram_ends() RETURNS float8[]: in seconds */
Datum
mr_sql_histogram_ends(PG_FUNCTION_ARGS)
{
	Datum ends[MR_HISTOGRAM_BUCKETS];

	for (int i = 0; i < MR_HISTOGRAM_BUCKETS; i++)
		ends[i] = Float8GetDatum((double) mr_histogram_end(i) / 1e6);
	PG_RETURN_ARRAYTYPE_P(construct_array(ends, MR_HISTOGRAM_BUCKETS, FLOAT8OID, sizeof(float8),
										  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
