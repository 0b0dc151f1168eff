/*
 * verb.c: the bridge from a public verb to the function that does it.
 *
 * millrace.pause(pipeline) is C: it finds millrace._pause(caller regrole, pipeline), which nobody but the
 * extension's owner may call, becomes that owner and calls it with the calling role as first argument. A
 * SECURITY DEFINER function could not know its caller for certain, and the catalogue's tables stay closed.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "server/catalog.h"
#include "server/guc.h"

static HeapTuple proc_tuple(Oid function);
static Oid inner_function(const char *verb, int ntypes, const Oid *types);
static Datum call_as_owner(FunctionCallInfo fcinfo, Oid function, int nargs,
						   const NullableDatum *args);
static Datum call_plainly(FunctionCallInfo inner);
static Datum arguments_by_name(FunctionCallInfo fcinfo, HeapTuple verb);

PG_FUNCTION_INFO_V1(mr_verb);
PG_FUNCTION_INFO_V1(mr_verb_by_name);
PG_FUNCTION_INFO_V1(mr_create_pipeline);

/* Any verb: calls `_name(caller regrole, <the verb's arguments>)`, with the same result. */
Datum
mr_verb(PG_FUNCTION_ARGS)
{
	HeapTuple tuple = proc_tuple(fcinfo->flinfo->fn_oid);
	Form_pg_proc verb = (Form_pg_proc) GETSTRUCT(tuple);
	Oid types[FUNC_MAX_ARGS];
	NullableDatum args[FUNC_MAX_ARGS];
	Oid inner;

	if (PG_NARGS() + 1 > FUNC_MAX_ARGS)
		elog(ERROR, "a verb has too many arguments");
	types[0] = REGROLEOID;
	memcpy(&types[1], verb->proargtypes.values, PG_NARGS() * sizeof(Oid));
	memcpy(&args[1], fcinfo->args, PG_NARGS() * sizeof(NullableDatum));
	inner = inner_function(NameStr(verb->proname), PG_NARGS() + 1, types);
	ReleaseSysCache(tuple);
	return call_as_owner(fcinfo, inner, PG_NARGS() + 1, args);
}

/*
 * A verb with many arguments: calls `_name(caller regrole, given jsonb)`, where given has a key for each
 * argument. Declared with settings that make numbers and intervals text without a loss.
 */
Datum
mr_verb_by_name(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {REGROLEOID, JSONBOID};
	HeapTuple tuple = proc_tuple(fcinfo->flinfo->fn_oid);
	NullableDatum args[2] = {0};
	Oid inner = inner_function(NameStr(((Form_pg_proc) GETSTRUCT(tuple))->proname), 2, types);

	args[1].value = arguments_by_name(fcinfo, tuple);
	ReleaseSysCache(tuple);
	return call_as_owner(fcinfo, inner, 2, args);
}

/*
 * create_pipeline(pipeline text, ..., samples text[]): as mr_verb_by_name(); and what the samples show is said, by
 * report_findings(), which runs the pipeline's SQL and so is called as the caller.
 */
Datum
mr_create_pipeline(PG_FUNCTION_ARGS)
{
	int samples = PG_NARGS() - 1;
	Datum id = mr_verb_by_name(fcinfo);

	if (!PG_ARGISNULL(samples))
	{
		List *name = list_make2(makeString(MR_SCHEMA), makeString("report_findings"));
		const Oid types[] = {TEXTOID, TEXTARRAYOID};

		(void) OidFunctionCall2(LookupFuncName(name, lengthof(types), types, false),
								PG_GETARG_DATUM(0), PG_GETARG_DATUM(samples));
	}
	return id;
}

static HeapTuple
proc_tuple(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	return tuple;
}

/* OID of `_verb(types)`. */
static Oid
inner_function(const char *verb, int ntypes, const Oid *types)
{
	char *name = psprintf("_%s", verb);
	Oid inner = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
								PointerGetDatum(buildoidvector(types, ntypes)),
								ObjectIdGetDatum(get_namespace_oid(MR_SCHEMA, false)));

	if (!OidIsValid(inner))
		elog(ERROR, "function millrace.%s with the verb's arguments does not exist", name);
	return inner;
}

/* The verb's arguments as an object; the names are those of its declaration. */
static Datum
arguments_by_name(FunctionCallInfo fcinfo, HeapTuple verb)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(verb);
	TupleDesc desc = CreateTemplateTupleDesc(PG_NARGS());
	Datum values[FUNC_MAX_ARGS];
	bool nulls[FUNC_MAX_ARGS];
	char **names;
	bool isnull;
	Datum declared = SysCacheGetAttr(PROCOID, verb, Anum_pg_proc_proargnames, &isnull);
	Datum row;

	if (isnull || get_func_input_arg_names(declared, (Datum) 0, &names) != PG_NARGS())
		elog(ERROR, "the arguments of verb %s have no names", NameStr(form->proname));
	for (int i = 0; i < PG_NARGS(); i++)
	{
		TupleDescInitEntry(desc, i + 1, names[i], form->proargtypes.values[i], -1, 0);
		values[i] = fcinfo->args[i].value;
		nulls[i] = fcinfo->args[i].isnull;
	}
	row = HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(TextDatumGetCString(
											 DirectFunctionCall1(row_to_json, row))));
}

/*
 * Calls a function as the extension's owner, with the caller in args[0]. An error's abort gives the rights back.
 *
 * Without just-in-time compilation: what verbs read is small, but estimates of functions and of tables that were never analyzed
 * are not. engine_status(), which the views call, took 60 to 500 ms, and takes 4 ms.
 */
static Datum
call_as_owner(FunctionCallInfo fcinfo, Oid function, int nargs, const NullableDatum *args)
{
	LOCAL_FCINFO(inner, FUNC_MAX_ARGS);
	FmgrInfo flinfo;
	int nest = NewGUCNestLevel();
	Oid caller;
	int context;
	Datum result;

	mr_guc_set("jit", "off");
	GetUserIdAndSecContext(&caller, &context);
	fmgr_info(function, &flinfo);
	InitFunctionCallInfoData(*inner, &flinfo, nargs, PG_GET_COLLATION(), NULL, NULL);
	memcpy(inner->args, args, nargs * sizeof(NullableDatum));
	inner->args[0].value = ObjectIdGetDatum(caller);
	inner->args[0].isnull = false;
	SetUserIdAndSecContext(mr_extension_owner(), context | SECURITY_LOCAL_USERID_CHANGE);
	result = call_plainly(inner);
	SetUserIdAndSecContext(caller, context);
	AtEOXact_GUC(true, nest);
	fcinfo->isnull = inner->isnull;
	return result;
}

/*
 * Calls it; an error comes out without the lines that say which of our functions called which. The caller's
 * own are added again when it is rethrown.
 */
static Datum
call_plainly(FunctionCallInfo inner)
{
	MemoryContext context = CurrentMemoryContext;
	volatile Datum result = (Datum) 0;

	PG_TRY();
	{
		result = FunctionCallInvoke(inner);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		error->context = NULL;
		ThrowErrorData(error);
	}
	PG_END_TRY();
	return result;
}
