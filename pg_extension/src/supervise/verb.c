/*
 * verb.c: the bridge from a public verb to the function that does it.
 *
 * millrace.pause(name) is C: it finds millrace._pause(caller regrole, name), which nobody but the
 * extension's owner may call, becomes that owner and calls it with the calling role as first argument. A
 * SECURITY DEFINER function could not know its caller for certain, and the catalogue's tables stay closed.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "server/catalog.h"

/* OID of `_name(regrole, <the verb's arguments>)`. */
static Oid
inner_function(Oid verb)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(verb));
	Form_pg_proc form;
	Oid types[FUNC_MAX_ARGS];
	Oid inner;
	char *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", verb);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	name = psprintf("_%s", NameStr(form->proname));
	types[0] = REGROLEOID;
	memcpy(&types[1], form->proargtypes.values, form->pronargs * sizeof(Oid));
	inner = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
							PointerGetDatum(buildoidvector(types, form->pronargs + 1)),
							ObjectIdGetDatum(get_namespace_oid(MR_SCHEMA, false)));
	ReleaseSysCache(tuple);
	if (!OidIsValid(inner))
		elog(ERROR, "function millrace.%s with the verb's arguments does not exist", name);
	return inner;
}

/*
 * Calls it; an error comes out without the lines that tell which of our functions called which. The caller's
 * own are added again when it is thrown anew.
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

PG_FUNCTION_INFO_V1(mr_verb);

/* Any verb: the same arguments, the same result. An error's abort gives the caller's rights back. */
Datum
mr_verb(PG_FUNCTION_ARGS)
{
	LOCAL_FCINFO(inner, FUNC_MAX_ARGS);
	FmgrInfo function;
	Oid caller;
	int context;
	Datum result;

	if (PG_NARGS() + 1 > FUNC_MAX_ARGS)
		elog(ERROR, "a verb has too many arguments");
	GetUserIdAndSecContext(&caller, &context);
	fmgr_info(inner_function(fcinfo->flinfo->fn_oid), &function);
	InitFunctionCallInfoData(*inner, &function, PG_NARGS() + 1, PG_GET_COLLATION(), NULL, NULL);
	inner->args[0].value = ObjectIdGetDatum(caller);
	inner->args[0].isnull = false;
	for (int i = 0; i < PG_NARGS(); i++)
		inner->args[i + 1] = fcinfo->args[i];
	SetUserIdAndSecContext(mr_extension_owner(), context | SECURITY_LOCAL_USERID_CHANGE);
	result = call_plainly(inner);
	SetUserIdAndSecContext(caller, context);
	fcinfo->isnull = inner->isnull;
	return result;
}
