/*
 * definition_check.c: millrace._check_definition(): is this a pipeline that can run?
 *
 * Everything is analysed as the role that will own it and with its search_path: name resolution and constant
 * folding may run functions, which must not run as anybody else.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "pipeline/pipeline.h"
#include "program/program.h"

static const char *
text_argument(FunctionCallInfo fcinfo, int i)
{
	return PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i));
}

static List *
names_argument(FunctionCallInfo fcinfo, int i)
{
	Datum *elements;
	bool *nulls;
	int n;
	List *names = NIL;

	if (PG_ARGISNULL(i))
		return NIL;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(i), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls,
					  &n);
	for (int k = 0; k < n; k++)
		if (!nulls[k])
			names = lappend(names, TextDatumGetCString(elements[k]));
	return names;
}

/* The parser does not know that events are a relation of their own. */
pg_noreturn static void
rethrow_with_hint(const char *search_path, MemoryContext context)
{
	ErrorData *edata;

	MemoryContextSwitchTo(context);
	edata = CopyErrorData();
	FlushErrorState();
	if (edata->sqlerrcode == ERRCODE_UNDEFINED_TABLE && edata->hint == NULL)
		edata->hint =
			psprintf("The events are the relation \"event\", named without a schema; other tables "
					 "are looked up in the pipeline's search_path: %s.",
					 search_path);
	ReThrowError(edata);
}

PG_FUNCTION_INFO_V1(mr_check_definition);

/*
 * millrace._check_definition(caller regrole, fields text, transform text, target regclass, on_conflict text,
 *     conflict_key text[], newer_by text, search_path text) RETURNS void
 * Raises what is wrong, with the position in the user's text.
 */
Datum
mr_check_definition(PG_FUNCTION_ARGS)
{
	MrDefinition definition = {.name = "", .topic = ""};
	MemoryContext memory = CurrentMemoryContext;
	const char *search_path;
	Oid user;
	int context;
	int nest;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2) || PG_ARGISNULL(3) || PG_ARGISNULL(4) || PG_ARGISNULL(7))
		elog(ERROR, "a definition without role, transform, target, on_conflict or search_path");
	definition.fields = text_argument(fcinfo, 1);
	definition.transform = text_argument(fcinfo, 2);
	definition.target = PG_GETARG_OID(3);
	definition.on_conflict = mr_on_conflict_parse(text_argument(fcinfo, 4));
	definition.conflict_key = names_argument(fcinfo, 5);
	definition.newer_by = text_argument(fcinfo, 6);
	search_path = text_argument(fcinfo, 7);

	GetUserIdAndSecContext(&user, &context);
	/* Restricted: a deferred trigger queued here would run at commit with the rights of the session. */
	SetUserIdAndSecContext(PG_GETARG_OID(0),
						   context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	nest = NewGUCNestLevel();
	(void) set_config_option("search_path", search_path, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	PushActiveSnapshot(GetTransactionSnapshot());
	PG_TRY();
	{
		mr_program_free(mr_program_create(&definition));
	}
	PG_CATCH();
	{
		rethrow_with_hint(search_path, memory);
	}
	PG_END_TRY();
	PopActiveSnapshot();
	AtEOXact_GUC(false, nest);
	SetUserIdAndSecContext(user, context);
	PG_RETURN_VOID();
}
