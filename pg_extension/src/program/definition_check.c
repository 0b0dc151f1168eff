/*
 * definition_check.c: millrace._check_definition(): is this a pipeline that can run?
 *
 * Everything is analysed as the role that will own it and with its search_path: name resolution and constant
 * folding may run functions, which must not run as anybody else.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "pipeline/pipeline.h"
#include "program/own_target.h"
#include "program/program.h"

/* In the form of the catalogue: whatever a version has reaches the check, however it is used. */
static MrDefinition *
definition_of(HeapTupleHeader row)
{
	TupleDesc desc =
		lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(row), .t_data = row};
	MrDefinition *definition;

	ItemPointerSetInvalid(&tuple.t_self);
	definition = mr_definition_of(&tuple, desc);
	ReleaseTupleDesc(desc);
	return definition;
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
 * millrace._check_definition(caller regrole, d millrace.pipeline_version) RETURNS void
 * Raises what is wrong, with the position in the user's text.
 */
Datum
mr_check_definition(PG_FUNCTION_ARGS)
{
	MemoryContext memory = CurrentMemoryContext;
	MrDefinition *definition;
	Oid user;
	int context;
	int nest;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		elog(ERROR, "a definition without role or values");
	definition = definition_of(PG_GETARG_HEAPTUPLEHEADER(1));

	GetUserIdAndSecContext(&user, &context);
	/* Restricted: a deferred trigger queued here would run at commit with the rights of the session. */
	SetUserIdAndSecContext(PG_GETARG_OID(0),
						   context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	nest = NewGUCNestLevel();
	mr_definition_pin(definition);
	PushActiveSnapshot(GetTransactionSnapshot());
	PG_TRY();
	{
		MrProgram *program = mr_program_create(definition);

		mr_refuse_own_target(program);
		mr_program_free(program);
	}
	PG_CATCH();
	{
		rethrow_with_hint(definition->search_path, memory);
	}
	PG_END_TRY();
	PopActiveSnapshot();
	AtEOXact_GUC(false, nest);
	SetUserIdAndSecContext(user, context);
	PG_RETURN_VOID();
}
