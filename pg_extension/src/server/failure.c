/*
 * failure.c - making, copying and raising failures
 *
 * Runs in workers and in backends that call SQL functions. See failure.h for lifetime.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/lsyscache.h"

#include "server/compat.h"
#include "server/failure.h"

#define TEXT_BYTES 2000 /* of a message, and of detail and hint */

static const char *hint_of(const ErrorData *edata);
static const char *bounded(const char *text);
static const char *copy_or_null(const char *string);

const char *
mr_stage_name(MrStage stage)
{
	switch (stage)
	{
		case MR_STAGE_DECODE:
			return "decode";
		case MR_STAGE_TRANSFORM:
			return "transform";
		case MR_STAGE_WRITE:
			return "write";
		case MR_STAGE_WINDOW:
			return "window";
	}
	return "unknown"; /* not reached */
}

MrFailure *
mr_failure_from_error(MrStage stage, const ErrorData *edata)
{
	MrFailure *failure = palloc0(sizeof(MrFailure));

	failure->stage = stage;
	failure->sqlstate = edata->sqlerrcode;
	failure->message = bounded(edata->message != NULL ? edata->message : "missing error text");
	failure->detail = bounded(edata->detail);
	failure->hint = bounded(hint_of(edata));
	failure->constraint_name = copy_or_null(edata->constraint_name);
	failure->column_name = copy_or_null(edata->column_name);
	failure->waited =
		edata->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE && mr_error_is_interrupt(edata);
	failure->timed_out =
		edata->sqlerrcode == ERRCODE_QUERY_CANCELED && mr_error_is_interrupt(edata);
	return failure;
}

bool
mr_error_is_interrupt(const ErrorData *edata)
{
	return edata->funcname != NULL && strcmp(edata->funcname, "ProcessInterrupts") == 0;
}

MrFailure *
mr_failure_make(MrStage stage, int sqlstate, const char *fmt, ...)
{
	MrFailure *failure = palloc0(sizeof(MrFailure));
	va_list args;

	failure->stage = stage;
	failure->sqlstate = sqlstate;
	for (Size size = 256;;)
	{
		char *message = palloc(size);
		size_t needed;

		va_start(args, fmt);
		needed = pvsnprintf(message, size, fmt, args);
		va_end(args);
		if (needed < size)
		{
			failure->message = bounded(message);
			return failure;
		}
		pfree(message);
		size = needed;
	}
}

MrFailure *
mr_failure_copy(const MrFailure *failure)
{
	MrFailure *copy = palloc(sizeof(MrFailure));

	*copy = *failure;
	copy->message = copy_or_null(failure->message);
	copy->detail = copy_or_null(failure->detail);
	copy->hint = copy_or_null(failure->hint);
	copy->constraint_name = copy_or_null(failure->constraint_name);
	copy->column_name = copy_or_null(failure->column_name);
	return copy;
}

void
mr_failure_set_detail(MrFailure *failure, const char *detail)
{
	failure->detail = bounded(detail);
}

bool
mr_error_is_of_the_data(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case MAKE_SQLSTATE('4', '0', '0', '0', '0'): /* rollback: deadlock, serialization */
		case MAKE_SQLSTATE('0', '8', '0', '0', '0'): /* connection: of a foreign table, say */
		case MAKE_SQLSTATE('H', 'V', '0', '0', '0'): /* foreign data wrapper */
		case MAKE_SQLSTATE('5', '3', '0', '0', '0'): /* insufficient resources */
		case MAKE_SQLSTATE('5', '7', '0', '0', '0'): /* operator intervention: cancel, shutdown */
		case MAKE_SQLSTATE('5', '8', '0', '0', '0'): /* system error: I/O */
			return false;
		default:
			return sqlstate != ERRCODE_LOCK_NOT_AVAILABLE && sqlstate != ERRCODE_DATA_CORRUPTED &&
				   sqlstate != ERRCODE_INDEX_CORRUPTED;
	}
}

void
mr_failure_raise(const MrFailure *failure)
{
	Oid target = failure->unfilled_in;
	const char *table = OidIsValid(target) ? get_rel_name(target) : NULL;

	ereport(ERROR,
			(errcode(failure->sqlstate), errmsg_internal("%s", failure->message),
			 failure->detail != NULL ? errdetail_internal("%s", failure->detail) : 0,
			 failure->hint != NULL ? errhint("%s", failure->hint) : 0,
			 failure->constraint_name != NULL
				 ? err_generic_string(PG_DIAG_CONSTRAINT_NAME, failure->constraint_name)
				 : 0,
			 failure->column_name != NULL
				 ? err_generic_string(PG_DIAG_COLUMN_NAME, failure->column_name)
				 : 0,
			 table != NULL ? err_generic_string(PG_DIAG_TABLE_NAME, table) : 0,
			 table != NULL ? err_generic_string(PG_DIAG_SCHEMA_NAME,
												get_namespace_name(get_rel_namespace(target)))
						   : 0));
}

/* The server's own hint for a date out of range is to change DateStyle, which is the definition's. */
static const char *
hint_of(const ErrorData *edata)
{
	if (edata->sqlerrcode == ERRCODE_DATETIME_FIELD_OVERFLOW && edata->hint != NULL &&
		strstr(edata->hint, MR_DATESTYLE_IN_HINT) != NULL)
		return "Casts read dates by date_order of the pipeline; to_date() and to_timestamp() take "
			   "a pattern, as in to_date(event.day, 'DD/MM/YYYY').";
	return edata->hint;
}

/* Many messages quote the value, and a value may have megabytes: more than a history could hold. */
static const char *
bounded(const char *text)
{
	Size length = text != NULL ? strlen(text) : 0;

	if (length <= TEXT_BYTES)
		return copy_or_null(text);
	return psprintf("%.*s...", pg_mbcliplen(text, (int) length, TEXT_BYTES), text);
}

static const char *
copy_or_null(const char *string)
{
	return string != NULL ? pstrdup(string) : NULL;
}
