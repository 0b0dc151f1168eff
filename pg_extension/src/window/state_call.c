/*
 * state_call.c: see state_call.h. Runs in workers.
 */
#include "window/state_call.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "server/catalog.h"
#include "server/guc.h"
#include "server/locks.h"
#include "server/xact.h"

typedef struct Failing
{
	int32 window_id;
	const char *step;
	const ErrorData *error;
} Failing;

bool
mr_state_begin(int32 pipeline_id, bool lock)
{
	if (!mr_xact_begin(lock ? "folding windows" : "filling windows"))
		return false;
	if (lock)
		mr_lock_pipeline(pipeline_id, ShareLock);
	PushActiveSnapshot(GetTransactionSnapshot());
	return true;
}

void
mr_state_end(void)
{
	PopActiveSnapshot();
	mr_xact_commit();
}

Datum
mr_state_call(int32 pipeline_id, bool lock, const char *sql, int nargs, Oid *types, Datum *values)
{
	Oid user;
	int context;
	int nest;
	Datum result;

	if (!mr_state_begin(pipeline_id, lock))
		return (Datum) 0;
	mr_become_extension_owner(&user, &context);
	nest = NewGUCNestLevel();
	mr_guc_set("search_path", "pg_catalog, pg_temp");
	SPI_connect();
	if (SPI_execute_with_args(sql, nargs, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not run \"%s\" on windows of pipeline %d", sql, pipeline_id);
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &(bool){false});
	SPI_finish();
	AtEOXact_GUC(false, nest);
	SetUserIdAndSecContext(user, context);
	mr_state_end();
	return result;
}

static void
note(void *arg)
{
	const Failing *failing = arg;
	Oid types[] = {INT4OID, TEXTOID, TEXTOID, TEXTOID};
	Datum values[] = {Int32GetDatum(failing->window_id), CStringGetTextDatum(failing->step),
					  CStringGetTextDatum(unpack_sql_state(failing->error->sqlerrcode)),
					  CStringGetTextDatum(failing->error->message ? failing->error->message : "")};

	(void) mr_state_call(0, false, "SELECT millrace._window_fails($1, $2, $3, $4)", 4, types,
						 values);
	for (int i = 1; i < lengthof(values); i++)
		pfree(DatumGetPointer(values[i]));
}

bool
mr_state_try(int32 window_id, const char *step, void (*fn)(void *arg), void *arg)
{
	Failing failing = {.window_id = window_id, .step = step};
	ErrorData *error = mr_xact_guard_error(fn, arg);

	if (error == NULL)
		return true;
	failing.error = error;
	if (error->sqlerrcode != ERRCODE_QUERY_CANCELED)
		(void) mr_xact_guard(note, &failing);
	FreeErrorData(error);
	return false;
}
