/*
 * merge_states.c: sums and moments of double precision, merged without an error when they leave its range.
 *
 * The server's float8pl() and float8_combine() raise one. In a window that would be the error of all of its groups, when it is
 * folded and when it is read; so what is out of range is Infinity here. Runs in any session.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"

enum /* of a state, as float8_accum() makes it */
{
	COUNT,
	SUM,
	SQUARES, /* the sum of the squared deviations from the mean */
	NSTATE
};

PG_FUNCTION_INFO_V1(mr_sql_add_double);
PG_FUNCTION_INFO_V1(mr_sql_merge_states);

/* millrace._add_double(a double precision, b double precision) RETURNS double precision */
Datum
mr_sql_add_double(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(PG_GETARG_FLOAT8(0) + PG_GETARG_FLOAT8(1));
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
