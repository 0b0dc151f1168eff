/*
 * wait.c: millrace.wait_for_window(): until a window is filled. Runs in sessions of users.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "server/guc.h"

#define POLL_MS 100

enum /* columns of the question, from 1 */
{
	FILLED = 1,
	OWN,
	ERROR_TEXT,
	WAITS
};

static const char *const QUESTION =
	"SELECT w.backfilled, w.created_at = now(), w.backfill_error, w.backfill_waits "
	"FROM millrace.windows AS w WHERE w.name = $1";

/* NULL: the column is null. */
static char *
value(int column)
{
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);
}

static bool
is_true(int column)
{
	const char *text = value(column);

	return text != NULL && text[0] == 't';
}

static void
refuse(const char *name, const char *detail, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("window \"%s\" is not filled", name), errdetail_internal("%s", detail),
					errhint("%s", hint)));
}

/* What the caller may see of it. Raises what keeps it from being filled. */
static bool
is_filled(const char *name, Datum parameter)
{
	int nest = NewGUCNestLevel();
	bool filled;

	mr_guc_set("search_path", "pg_catalog, pg_temp");
	PushActiveSnapshot(
		GetTransactionSnapshot()); /* that of the CALL has ended with its transaction */
	if (SPI_execute_with_args(QUESTION, 1, &(Oid){TEXTOID}, &parameter, NULL, false, 1) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not look at window \"%s\"", name);
	PopActiveSnapshot();
	AtEOXact_GUC(false, nest);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("window \"%s\" does not exist", name),
				 errhint("SELECT name FROM millrace.windows; lists the windows.")));
	filled = is_true(FILLED);
	if (!filled && is_true(OWN))
		refuse(name,
			   "It was created by this transaction, and nobody else sees it before that ends.",
			   "Commit first; or, in this transaction, SELECT millrace.rebuild_window('…'); while "
			   "batches wait.");
	if (!filled && value(WAITS) != NULL)
		refuse(name, value(WAITS), "SELECT millrace.resume('…'); on its pipeline.");
	if (!filled && value(ERROR_TEXT) != NULL)
		refuse(name, value(ERROR_TEXT),
			   "It is tried again by itself. SELECT * FROM millrace.doctor(); says more.");
	SPI_freetuptable(SPI_tuptable); /* it may be looked at for days */
	return filled;
}

/* A transaction that looks by one snapshot sees no end, and one that has locks may have what the worker waits for, unseen by the server. */
static void
check_may_wait(bool atomic, bool endless)
{
	if (atomic && (IsolationUsesXactSnapshot() || endless))
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("wait_for_window() cannot wait in a transaction block%s",
							   endless ? " without a timeout" : " that has one snapshot"),
						errhint("Call it outside of a transaction block%s.",
								IsolationUsesXactSnapshot() ? "" : ", or with a timeout")));
}

PG_FUNCTION_INFO_V1(mr_sql_wait_for_window);

/*
 * millrace.wait_for_window(name text, timeout interval): see its comment. Outside of a transaction block each look is in a transaction of its
 * own, so that waiting keeps nothing from being vacuumed.
 */
Datum
mr_sql_wait_for_window(PG_FUNCTION_ARGS)
{
	bool atomic = fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
				  castNode(CallContext, fcinfo->context)->atomic;
	TimestampTz until = DT_NOEND;
	char *name;
	Datum parameter;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("argument must not be null: name"),
				 errhint("Give the argument a value.")));
	SPI_connect_ext(atomic ? 0 : SPI_OPT_NONATOMIC);
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	parameter = CStringGetTextDatum(name);
	if (!PG_ARGISNULL(1))
		until = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
														TimestampTzGetDatum(GetCurrentTimestamp()),
														PG_GETARG_DATUM(1)));
	while (!is_filled(name, parameter))
	{
		check_may_wait(atomic, until == DT_NOEND);
		if (GetCurrentTimestamp() >= until)
			refuse(name, "The timeout is over.",
				   "SELECT * FROM millrace.windows; says how far it is.");
		if (!atomic)
			SPI_commit();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, POLL_MS,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	SPI_finish();
	PG_RETURN_VOID();
}
