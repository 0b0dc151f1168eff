/*
 * decode_time_hint.c - dates and times that are refused: what was found, and the declaration that reads it
 *
 * Every hint can be followed as it is: an option of the field, or another type and the expression for the transform, with
 * the field's own name.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "decode/decode_time.h"

static MrFailure *wrong(const MrDecodeField *field, const MrJsonSlot *slot, const char *hint);
static const char *event_column(const MrDecodeField *field);
static const char *as_type(const MrDecodeField *field, const char *timestamptz);
static const char *pattern_of(const MrDecodeField *field, const MrTimeForm *form, bool day_first);

/* The likely unit, by size: as seconds up to the year 5138, and so on; a small number for a date is of days. */
MrFailure *
mr_time_without_unit(const MrDecodeField *field, const MrJsonSlot *slot)
{
	static const struct
	{
		const char *unit;
		const char *name;
		const char *divisor;
	} units[] = {{"s", "seconds", ""},
				 {"ms", "milliseconds", " / 1000.0"},
				 {"us", "microseconds", " / 1000000.0"},
				 {"ns", "nanoseconds", " / 1000000000.0"}};
	char *number = pnstrdup(slot->start, Min(slot->length, 40));
	double size = fabs(strtod(number, NULL));
	int u = size < 1e11 ? 0 : size < 1e14 ? 1 : size < 1e17 ? 2 : 3;
	const char *column = event_column(field);
	const char *integer = strpbrk(number, ".eE") != NULL ? "numeric" : "bigint";
	const char *expression;

	if (field->type_id == INTERVALOID || field->type_id == TIMEOID)
	{
		u = size < 1e10 ? 1 : u; /* nobody measures 100 days in seconds */
		expression =
			psprintf("%smake_interval(secs => %s%s)",
					 field->type_id == TIMEOID ? "time '00:00' + " : "", column, units[u].divisor);
	}
	else if (field->type_id == DATEOID && size < 1e6)
		expression = psprintf("date '1970-01-01' + %s", column);
	else
		expression = as_type(field, psprintf("to_timestamp(%s%s)", column, units[u].divisor));
	if (field->inside || OidIsValid(field->time_inside))
		return wrong(field, slot,
					 psprintf("Add EPOCH '%s' to the field if these are %s, or take it as jsonb.",
							  units[u].unit, units[u].name));
	if (field->type_id == DATEOID && size < 1e6)
		return wrong(field, slot,
					 psprintf("Add EPOCH 'd' to the field if these are days since 1970, or declare "
							  "it as integer: %s.",
							  expression));
	return wrong(field, slot,
				 psprintf("Add EPOCH '%s' to the field if these are %s%s, or declare it as %s: %s.",
						  units[u].unit, units[u].name,
						  field->type_id == INTERVALOID ? ""
						  : field->type_id == TIMEOID   ? " since midnight"
														: " since 1970",
						  integer, expression));
}

MrFailure *
mr_time_relative(const MrDecodeField *field, const MrJsonSlot *slot)
{
	return wrong(field, slot,
				 "Such a word means another time each time the event is tried. Have the producer "
				 "write the time itself; event.kafka_ts is when it was produced.");
}

MrFailure *
mr_time_ambiguous(const MrDecodeField *field, const MrJsonSlot *slot, const MrTimeForm *form)
{
	bool day_first = form->values[1] <= 12 || form->values[0] > 12;

	if (field->inside || OidIsValid(field->time_inside))
		return wrong(field, slot, "Add DATE_ORDER 'DMY', 'MDY' or 'YMD' to the field.");
	if (form->month_name || form->numbers != 3)
		return wrong(field, slot,
					 psprintf("Have the producer write the year with four digits, as in "
							  "2026-03-01; or add DATE_ORDER 'DMY', 'MDY' or 'YMD' to the field."));
	return wrong(field, slot,
				 psprintf("If the %s comes first, add DATE_ORDER '%s' to the field, or declare it "
						  "as text: %s.",
						  day_first ? "day" : "month", day_first ? "DMY" : "MDY",
						  pattern_of(field, form, day_first)));
}

MrFailure *
mr_time_other_zone(const MrDecodeField *field, const MrJsonSlot *slot)
{
	MrFailure *failure = wrong(
		field, slot,
		psprintf("%sadd OTHER_ZONE 'convert' to the field for the time in %s, or OTHER_ZONE 'drop' "
				 "for the time as it is written.",
				 field->inside || OidIsValid(field->time_inside) || field->type_id == TIMEOID
					 ? "Or "
					 : "Declare the field as timestamptz; or ",
				 field->reading->time_zone));

	if (failure->hint[0] == 'O')
		failure->hint = psprintf("A%s", failure->hint + 4);
	failure->detail = psprintf("The type has no time zone, and the value has another one than %s.",
							   field->reading->time_zone);
	return failure;
}

MrFailure *
mr_time_without_zone(const MrDecodeField *field, const MrJsonSlot *slot)
{
	return wrong(field, slot,
				 "The offset of a zone depends on the date. Have the producer write an offset, as "
				 "in 10:00:00+01.");
}

MrFailure *
mr_time_wrong(const MrDecodeField *field, const MrJsonSlot *slot, const MrTimeForm *form)
{
	if (memchr(slot->start, '[', slot->length) != NULL && form->numbers > 0)
		return wrong(
			field, slot,
			"Have the producer leave out the zone in brackets, which java.time's ZonedDateTime "
			"adds: the offset before it is enough.");
	if (form->has_time && form->numbers > 0 && !form->relative)
		return wrong(field, slot,
					 "A time zone is an offset such as +02:00, or a name such as Europe/Berlin: "
					 "abbreviations mean different zones in different countries.");
	return wrong(field, slot, NULL);
}

void
mr_time_add_hint(const MrDecodeField *field, MrFailure *failure)
{
	static const char *const orders[] = {NULL, "day first (DMY)", "month first (MDY)",
										 "year first (YMD)"};

	if (failure->hint == NULL && orders[field->reading->date_order] != NULL)
		failure->hint =
			psprintf("Dates of this field are read %s.", orders[field->reading->date_order]);
}

static MrFailure *
wrong(const MrDecodeField *field, const MrJsonSlot *slot, const char *hint)
{
	MrFailure *failure =
		mr_decode_wrong(field, slot, ERRCODE_INVALID_DATETIME_FORMAT,
						field->expected != NULL ? field->expected : "dates as in 2026-03-01");

	if (hint != NULL)
		failure->hint = hint;
	return failure;
}

static const char *
event_column(const MrDecodeField *field)
{
	return psprintf("event.%s", quote_identifier(field->name));
}

/* The point in time as the field's type. */
static const char *
as_type(const MrDecodeField *field, const char *timestamptz)
{
	const char *zone = quote_literal_cstr(field->reading->time_zone);

	if (field->type_id == TIMESTAMPOID)
		return psprintf("%s AT TIME ZONE %s", timestamptz, zone);
	if (field->type_id == DATEOID)
		return psprintf("(%s AT TIME ZONE %s)::date", timestamptz, zone);
	return timestamptz;
}

/* The expression that reads such a date, with its separators. */
static const char *
pattern_of(const MrDecodeField *field, const MrTimeForm *form, bool day_first)
{
	return psprintf("to_%s(%s, '%s%c%s%c%s%s')", field->type_id == DATEOID ? "date" : "timestamp",
					event_column(field), day_first ? "DD" : "MM", form->separators[0],
					day_first ? "MM" : "DD", form->separators[1],
					form->digits[2] > 2 ? "YYYY" : "YY", form->has_time ? " HH24:MI:SS" : "");
}
