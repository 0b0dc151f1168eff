/*
 * decode_input.c - types by their own code: input functions, domain constraints
 *
 * Such code may raise errors, and an error may only be swallowed by rolling back a subtransaction. One
 * that reads takes no xid and costs about 0.4 us. Errors that are not of the data (cancel, shutdown, out
 * of memory, deadlock) are rethrown, with the subtransaction rolled back, so that the caller finds the
 * transaction as it left it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/resowner.h"
#include "utils/typcache.h"

#include "decode/decode_field.h"

typedef struct DomainCheck
{
	Datum value;
	bool isnull;
} DomainCheck;

typedef struct ServerReading
{
	int date_order;
	int interval_style;
	pg_tz *zone;
} ServerReading;

static void use_reading(const MrReading *reading);
static Datum call_input(MrDecodeField *field, void *string);
static Datum call_domain_check(MrDecodeField *field, void *check);

MrFailure *
mr_convert_input(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	char *string;
	int length;

	if (slot->kind == MR_JSON_ARRAY || slot->kind == MR_JSON_OBJECT)
		return mr_decode_wrong(field, slot, ERRCODE_INVALID_TEXT_REPRESENTATION,
							   field->expected != NULL ? field->expected : "a string");
	if (slot->flags & MR_JSON_HAS_NUL)
		return mr_decode_nul(field, slot);
	string = mr_decode_cstring(slot, &length);
	if (field->has_time)
	{
		MrFailure *failure = mr_decode_check_inside(field, slot, string);

		if (failure != NULL)
			return failure;
	}
	return mr_decode_by_input(field, slot, string, value);
}

MrFailure *
mr_decode_by_input(MrDecodeField *field, const MrJsonSlot *slot, char *string, Datum *value)
{
	return mr_decode_guarded(field, slot, call_input, string, value);
}

MrFailure *
mr_convert_domain(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	MrFailure *failure = field->base->convert(field->base, slot, value);

	if (failure != NULL)
		return failure;
	return mr_check_domain(field, slot, *value, false);
}

MrFailure *
mr_check_domain(MrDecodeField *field, const MrJsonSlot *slot, Datum value, bool isnull)
{
	DomainCheck check = {value, isnull};

	/* asked each time: constraints come and go with ALTER DOMAIN */
	if (!DomainHasConstraints(field->type_id))
		return NULL;
	return mr_decode_guarded(field, slot, call_domain_check, &check, &check.value);
}

MrFailure *
mr_decode_guarded(MrDecodeField *field, const MrJsonSlot *slot, MrWork work, void *argument,
				  Datum *value)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile edata = NULL;
	ServerReading saved = {DateOrder, IntervalStyle, session_timezone};

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	if (field->reading != NULL)
		use_reading(field->reading);
	PG_TRY();
	{
		*value = work(field, argument);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	DateOrder = saved.date_order;
	IntervalStyle = saved.interval_style;
	session_timezone = saved.zone;
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (edata == NULL)
		return NULL;
	/* A domain's CHECK may raise any error, and it is about the value. */
	if (mr_error_is_interrupt(edata) || edata->sqlerrcode == ERRCODE_OUT_OF_MEMORY)
		ReThrowError(edata);
	return mr_decode_refused(field, slot, edata);
}

/*
 * For the input functions of dates, times and intervals, which are the server's and look nowhere else. Variables, not
 * settings: a setting takes longer than the value.
 */
static void
use_reading(const MrReading *reading)
{
	DateOrder = reading->date_order == MR_DATE_DMY   ? DATEORDER_DMY
				: reading->date_order == MR_DATE_YMD ? DATEORDER_YMD
													 : DATEORDER_MDY;
	IntervalStyle = reading->interval_style == MR_INTERVAL_SQL_STANDARD ? INTSTYLE_SQL_STANDARD
																		: INTSTYLE_POSTGRES;
	session_timezone = reading->zone;
}

static Datum
call_input(MrDecodeField *field, void *string)
{
	return InputFunctionCall(&field->input, string, field->input_param, field->typmod);
}

static Datum
call_domain_check(MrDecodeField *field, void *argument)
{
	DomainCheck *check = argument;

	domain_check(check->value, check->isnull, field->type_id, &field->domain_cache, field->context);
	return check->value;
}
