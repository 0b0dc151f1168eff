/*
 * merge_states.c: sums and moments, merged without an error when they leave the range of their type.
 *
 * The server's float8pl(), float8_combine() and numeric_add() raise one. In a window that would be the error of all of its groups, when it is
 * folded and when it is read; so what is out of range is Infinity here. Runs in any session.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

enum /* of a state, as float8_accum() makes it */
{
	COUNT,
	SUM,
	SQUARES, /* the sum of the squared deviations from the mean */
	NSTATE
};

PG_FUNCTION_INFO_V1(mr_sql_add_double);
PG_FUNCTION_INFO_V1(mr_sql_add_numeric);
PG_FUNCTION_INFO_V1(mr_sql_merge_states);

/* millrace._add_double(a double precision, b double precision) RETURNS double precision */
Datum
mr_sql_add_double(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(PG_GETARG_FLOAT8(0) + PG_GETARG_FLOAT8(1));
}

/* millrace._add_numeric(a numeric, b numeric) RETURNS numeric: what is out of range has the sign of both. */
Datum
mr_sql_add_numeric(PG_FUNCTION_ARGS)
{
	Numeric a = PG_GETARG_NUMERIC(0);
	bool out_of_range = false;
	Numeric sum = numeric_add_opt_error(a, PG_GETARG_NUMERIC(1), &out_of_range);
	bool negative;

	if (!out_of_range)
		PG_RETURN_NUMERIC(sum);
	negative = DatumGetBool(
		DirectFunctionCall2(numeric_lt, NumericGetDatum(a), NumericGetDatum(int64_to_numeric(0))));
	return DirectFunctionCall3(numeric_in, CStringGetDatum(negative ? "-Infinity" : "Infinity"),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

static float8 *
get_state(ArrayType *array)
{
	if (ARR_NDIM(array) != 1 || ARR_DIMS(array)[0] != NSTATE || ARR_HASNULL(array) ||
		ARR_ELEMTYPE(array) != FLOAT8OID)
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
						errmsg("a state of a window is not an array of %d numbers", NSTATE)));
	return (float8 *) ARR_DATA_PTR(array);
}

/*
 * millrace._merge_states(a double precision[], b double precision[]) RETURNS double precision[]
 * As float8_combine() does it: Youngs and Cramer, Technometrics 13 (1971), pages 657-665. The state of an aggregate is its own
 * to change.
 */
Datum
mr_sql_merge_states(PG_FUNCTION_ARGS)
{
	ArrayType *merged = AggCheckCallContext(fcinfo, NULL) != 0 ? PG_GETARG_ARRAYTYPE_P(0)
															   : PG_GETARG_ARRAYTYPE_P_COPY(0);
	float8 *a = get_state(merged);
	const float8 *b = get_state(PG_GETARG_ARRAYTYPE_P(1));
	float8 n = a[COUNT] + b[COUNT];
	float8 apart;

	if (a[COUNT] == 0.0)
		memcpy(a, b, NSTATE * sizeof(float8));
	else if (b[COUNT] != 0.0)
	{
		apart = a[SUM] / a[COUNT] - b[SUM] / b[COUNT];
		a[SQUARES] += b[SQUARES] + a[COUNT] * b[COUNT] * apart * apart / n;
		a[SUM] += b[SUM];
		a[COUNT] = n;
	}
	PG_RETURN_ARRAYTYPE_P(merged);
}
