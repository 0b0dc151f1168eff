/*
 * first_last.c: the aggregates millrace.first(value, at) and millrace.last(value, at): the value of the smallest or greatest
 * time, and of several values of that time the smallest or greatest.
 *
 * So the result depends on the rows alone, not on their order, and two results with their times can be merged by the
 * aggregate itself. Rows whose value or time is NULL do not count. Runs in any session.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

typedef struct Extreme
{
	TypeCacheEntry *type;
	TimestampTz at;
	Datum value;
	bool has_value;
} Extreme;

static Extreme *
begin(FunctionCallInfo fcinfo, MemoryContext context)
{
	Extreme *extreme = MemoryContextAllocZero(context, sizeof(Extreme));
	Oid type = get_fn_expr_argtype(fcinfo->flinfo, 1);

	if (!OidIsValid(type))
		elog(ERROR, "could not determine the type of the value");
	extreme->type = lookup_type_cache(type, TYPECACHE_CMP_PROC_FINFO);
	if (!OidIsValid(extreme->type->cmp_proc_finfo.fn_oid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("values of type %s cannot be ordered", format_type_be(type)),
						errhint("Of several values at the same time the first or last in order is "
								"taken: cast it to a type that has an order.")));
	return extreme;
}

/* Below 0: the new value comes before the one there is. */
static int
compare(const Extreme *extreme, TimestampTz at, Datum value, Oid collation)
{
	if (at != extreme->at)
		return at < extreme->at ? -1 : 1;
	return DatumGetInt32(
		FunctionCall2Coll(&extreme->type->cmp_proc_finfo, collation, value, extreme->value));
}

static void
keep(Extreme *extreme, TimestampTz at, Datum value, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);

	if (extreme->has_value && !extreme->type->typbyval)
		pfree(DatumGetPointer(extreme->value));
	extreme->value = datumCopy(value, extreme->type->typbyval, extreme->type->typlen);
	extreme->at = at;
	extreme->has_value = true;
	MemoryContextSwitchTo(old);
}

/* sign: 1 for the first, -1 for the last. */
static Datum
step(FunctionCallInfo fcinfo, int sign)
{
	MemoryContext context;
	Extreme *extreme;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "a step of an aggregate was called outside of one");
	extreme = PG_ARGISNULL(0) ? begin(fcinfo, context) : (Extreme *) PG_GETARG_POINTER(0);
	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2))
	{
		TimestampTz at = PG_GETARG_TIMESTAMPTZ(2);
		Datum value = PG_GETARG_DATUM(1);

		if (!extreme->has_value || sign * compare(extreme, at, value, PG_GET_COLLATION()) < 0)
			keep(extreme, at, value, context);
	}
	PG_RETURN_POINTER(extreme);
}

PG_FUNCTION_INFO_V1(mr_sql_first_step);
PG_FUNCTION_INFO_V1(mr_sql_last_step);
PG_FUNCTION_INFO_V1(mr_sql_extreme_value);

/* millrace._first_step(state internal, value anyelement, at timestamptz) RETURNS internal */
Datum
mr_sql_first_step(PG_FUNCTION_ARGS)
{
	return step(fcinfo, 1);
}

/* millrace._last_step(state internal, value anyelement, at timestamptz) RETURNS internal */
Datum
mr_sql_last_step(PG_FUNCTION_ARGS)
{
	return step(fcinfo, -1);
}

/* millrace._extreme_value(state internal, value anyelement, at timestamptz) RETURNS anyelement: the arguments but the first give the type. */
Datum
mr_sql_extreme_value(PG_FUNCTION_ARGS)
{
	Extreme *extreme = PG_ARGISNULL(0) ? NULL : (Extreme *) PG_GETARG_POINTER(0);

	if (extreme == NULL || !extreme->has_value)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(extreme->value);
}
