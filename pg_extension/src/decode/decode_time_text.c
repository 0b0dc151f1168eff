/*
 * decode_time_text.c - strings for dates and times that are not plain ISO 8601
 *
 * The form is looked at first (time_form.h): words that mean a moment, dates whose order nobody has said, numbers without a
 * unit, abbreviations of zones and zones that the type would drop are refused. What is left is read by the type's own input
 * function, with the order and the zone of the reading.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "decode/decode_time.h"

/* A string with a zone for a type without. */
typedef struct Zoned
{
	char *string;
	TimestampTz time;
	Timestamp local;
} Zoned;

static MrFailure *refuse(const MrDecodeField *field, const MrJsonSlot *slot,
						 const MrTimeForm *form);
static MrFailure *from_number(MrDecodeField *field, const MrJsonSlot *slot, const char *string,
							  int length, Datum *value);
static MrFailure *without_zone(MrDecodeField *field, const MrJsonSlot *slot, char *string,
							   Datum *value);
static MrFailure *time_of_day(MrDecodeField *field, const MrJsonSlot *slot, char *string,
							  Datum *value);
static bool offset_of(const MrReading *reading, int *seconds);
static Datum read_zoned(MrDecodeField *field, void *argument);
static Datum read_timetz(MrDecodeField *field, void *argument);

MrFailure *
mr_time_from_text(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	MrTimeForm form;
	MrFailure *failure;
	char *string;
	int length;
	int seconds;
	bool timed = field->type_id == TIMEOID || field->type_id == TIMETZOID;

	if (slot->flags & MR_JSON_HAS_NUL)
		return mr_decode_nul(field, slot);
	string = mr_decode_cstring(slot, &length);
	mr_time_form(string, length, &form);
	if (form.number && (!form.compact || field->reading->epoch != MR_EPOCH_NONE || timed))
		return from_number(field, slot, string, length, value);
	failure = refuse(field, slot, &form);
	if (failure != NULL)
		return failure;
	if (timed && form.zone_is_name && form.numbers == 0)
		return mr_time_without_zone(field, slot); /* its offset depends on the date */
	if (field->type_id == TIMETZOID && !form.has_zone && form.numbers == 0 &&
		!offset_of(field->reading, &seconds))
		return mr_time_without_zone(field, slot);
	if (form.has_zone && field->type_id == TIMEOID)
		failure = time_of_day(field, slot, string, value);
	else if (form.has_zone && (field->type_id == DATEOID || field->type_id == TIMESTAMPOID))
		failure = without_zone(field, slot, string, value);
	else
	{
		failure = mr_decode_by_input(field, slot, string, value);
		if (failure != NULL)
			mr_time_add_hint(field, failure);
	}
	return failure;
}

MrFailure *
mr_decode_check_inside(const MrDecodeField *field, const MrJsonSlot *slot, const char *string)
{
	const char *p = string;
	bool quoted = false;

	while (*p != '\0')
	{
		size_t length = strcspn(p, quoted ? "\"\\" : "{}[](),\"\\");
		MrTimeForm form;

		mr_time_form(p, (int) length, &form);
		if (length > 0 && !form.unknown)
		{
			if (form.relative)
				return mr_time_relative(field, slot);
			if (form.number ? OidIsValid(field->time_inside) && !form.compact
							: mr_time_is_ambiguous(field->reading, &form))
				return form.number ? mr_time_without_unit(field, slot)
								   : mr_time_ambiguous(field, slot, &form);
			if (form.has_zone && OidIsValid(field->time_inside) &&
				field->time_inside != TIMESTAMPTZOID && field->time_inside != TIMETZOID &&
				field->reading->other_zone != MR_ZONE_DROP)
				return mr_time_other_zone(field, slot);
		}
		quoted ^= p[length] == '"';
		p += length + (p[length] != '\0' ? 1 : 0);
	}
	return NULL;
}

bool
mr_time_is_ambiguous(const MrReading *reading, const MrTimeForm *form)
{
	int longest = 0;

	if (form->numbers == 0 || form->number || reading->date_order != MR_DATE_ISO)
		return false;
	for (int i = 0; i < Min(form->numbers, 3); i++)
		longest = Max(longest, form->digits[i]);
	if (form->month_name)
		return longest < 3;
	if (form->numbers == 1)
		return form->digits[0] != 8;
	return form->digits[0] < 4;
}

static MrFailure *
refuse(const MrDecodeField *field, const MrJsonSlot *slot, const MrTimeForm *form)
{
	if (form->relative && !form->unknown)
		return mr_time_relative(field, slot);
	if (form->unknown)
		return mr_time_wrong(field, slot, form);
	if (mr_time_is_ambiguous(field->reading, form))
		return mr_time_ambiguous(field, slot, form);
	return NULL;
}

/* Digits in quotes: the unit says what they are. */
static MrFailure *
from_number(MrDecodeField *field, const MrJsonSlot *slot, const char *string, int length,
			Datum *value)
{
	MrJsonSlot number;
	MrJsonError error;

	if (!mr_is_epoch_type(field->type_id))
		return mr_decode_wrong(field, slot, ERRCODE_INVALID_DATETIME_FORMAT, field->expected);
	if (!mr_json_scan_whole(string, length, &number, &error) || number.kind != MR_JSON_NUMBER)
		return mr_time_without_unit(field, slot);
	return mr_convert_epoch(field, slot, &number, value);
}

static MrFailure *
without_zone(MrDecodeField *field, const MrJsonSlot *slot, char *string, Datum *value)
{
	Zoned zoned = {.string = string};
	Datum nothing;
	MrFailure *failure = mr_decode_guarded(field, slot, read_zoned, &zoned, &nothing);

	if (failure == NULL)
		failure = mr_time_settle_zone(field, slot, zoned.time, &zoned.local);
	else
		mr_time_add_hint(field, failure);
	return failure != NULL ? failure : mr_time_put(field, zoned.local, value);
}

/* A time of the day with an offset: that of the reading's zone is known when it has always the same. */
static MrFailure *
time_of_day(MrDecodeField *field, const MrJsonSlot *slot, char *string, Datum *value)
{
	Datum read;
	TimeTzADT *time;
	int seconds;
	int64 moved;
	MrFailure *failure = mr_decode_guarded(field, slot, read_timetz, string, &read);

	if (failure != NULL)
	{
		mr_time_add_hint(field, failure);
		return failure;
	}
	time = DatumGetTimeTzADTP(read);
	moved = time->time;
	if (field->reading->other_zone != MR_ZONE_DROP &&
		(!offset_of(field->reading, &seconds) || seconds != -time->zone))
	{
		if (field->reading->other_zone != MR_ZONE_CONVERT || !offset_of(field->reading, &seconds))
			return mr_time_other_zone(field, slot);
		moved += ((int64) seconds + time->zone) * USECS_PER_SEC + USECS_PER_DAY;
		moved %= USECS_PER_DAY;
	}
	return mr_time_put(field, moved, value);
}

/* East of UTC, of a zone that has always the same. */
static bool
offset_of(const MrReading *reading, int *seconds)
{
	long offset = 0;

	if (!reading->utc && !pg_get_timezone_offset(reading->zone, &offset))
		return false;
	*seconds = (int) offset;
	return true;
}

static Datum
read_zoned(MrDecodeField *field, void *argument)
{
	Zoned *zoned = argument;

	zoned->time =
		DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(zoned->string),
												ObjectIdGetDatum(0), Int32GetDatum(-1)));
	zoned->local =
		DatumGetTimestamp(DirectFunctionCall3(timestamp_in, CStringGetDatum(zoned->string),
											  ObjectIdGetDatum(0), Int32GetDatum(-1)));
	return (Datum) 0;
}

static Datum
read_timetz(MrDecodeField *field, void *argument)
{
	return DirectFunctionCall3(timetz_in, CStringGetDatum((char *) argument), ObjectIdGetDatum(0),
							   Int32GetDatum(-1));
}
