/*
 * decode_time.c - date, timestamp, timestamptz, time, interval
 *
 * The ISO 8601 forms that programs write are read here:
 *     2026-03-01    2026-03-01T12:34[:56[.789...]][Z|+05|+05:30|+0530], also with a space for the T
 * Every other string goes to decode_time_text.c, a number to decode_time_epoch.c. A time without zone is local to the reading's
 * zone, whatever the session's is. A zone that a type without zone would drop is no matter where it is the reading's.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "pgtime.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "decode/decode_time.h"
#include "server/compat.h"

#define FRACTION_DIGITS 15 /* as many as a double holds */

typedef struct IsoTime
{
	int year;
	int month;
	int day;
	int hour;
	int minute;
	int second;
	int microsecond; /* up to 1000000: rounded */
	bool has_zone;
	int zone_s; /* east of UTC */
} IsoTime;

static inline bool read_iso(const MrJsonSlot *slot, IsoTime *t);
static bool read_clock(const char **at, const char *end, IsoTime *t);
static bool read_fraction(const char **at, const char *end, IsoTime *t);
static bool read_zone(const char **at, const char *end, IsoTime *t);
static int64 microseconds(const IsoTime *t);
static int zone_s(const MrReading *reading, const IsoTime *t);
static MrFailure *to_local(MrDecodeField *field, const MrJsonSlot *slot, const IsoTime *t,
						   Timestamp *local);
static MrFailure *not_iso(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);

MrFailure *
mr_convert_date(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	IsoTime t;

	if (!read_iso(slot, &t))
		return not_iso(field, slot, value);
	if (unlikely(t.has_zone))
	{
		Timestamp local;
		MrFailure *failure = to_local(field, slot, &t, &local);

		return failure != NULL ? failure : mr_time_put(field, local, value);
	}
	*value = DateADTGetDatum(date2j(t.year, t.month, t.day) - POSTGRES_EPOCH_JDATE);
	return NULL;
}

/* Also a time of the day, of a string that has a date. */
MrFailure *
mr_convert_timestamp(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	IsoTime t;
	Timestamp result;

	if (!read_iso(slot, &t))
		return not_iso(field, slot, value);
	result = microseconds(&t);
	if (t.has_zone)
	{
		MrFailure *failure = to_local(field, slot, &t, &result);

		if (failure != NULL)
			return failure;
	}
	return mr_time_put(field, result, value);
}

MrFailure *
mr_convert_timestamptz(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	IsoTime t;
	TimestampTz result;

	if (unlikely(!read_iso(slot, &t)))
		return not_iso(field, slot, value);
	if (!t.has_zone)
		t.zone_s = zone_s(field->reading, &t);
	result = microseconds(&t) - (int64) t.zone_s * USECS_PER_SEC;
	if (field->typmod >= 0)
		mr_timestamp_for_typmod(&result, field->typmod);
	*value = TimestampTzGetDatum(result);
	return NULL;
}

MrFailure *
mr_convert_timetz(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	return not_iso(field, slot, value);
}

MrFailure *
mr_convert_interval(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	MrTimeForm form = {0};

	if (slot->kind == MR_JSON_STRING)
		mr_time_form(slot->start, slot->length, &form);
	if (slot->kind == MR_JSON_STRING && !form.number)
		return mr_convert_input(field, slot, value);
	return not_iso(field, slot, value);
}

bool
mr_time_to_local(const MrReading *reading, TimestampTz time, Timestamp *local)
{
	struct pg_tm tm;
	fsec_t fraction;
	int tz;

	*local = time;
	if (reading->utc || TIMESTAMP_NOT_FINITE(time))
		return true;
	return timestamp2tm(time, &tz, &tm, &fraction, NULL, reading->zone) == 0 &&
		   tm2timestamp(&tm, fraction, NULL, local) == 0;
}

MrFailure *
mr_time_settle_zone(MrDecodeField *field, const MrJsonSlot *slot, TimestampTz time,
					Timestamp *local)
{
	Timestamp converted;

	if (!mr_time_to_local(field->reading, time, &converted))
		return mr_decode_trouble(field, slot, ERRCODE_DATETIME_FIELD_OVERFLOW, "is out of range");
	if (converted == *local || field->reading->other_zone == MR_ZONE_DROP)
		return NULL;
	if (field->reading->other_zone == MR_ZONE_ERROR)
		return mr_time_other_zone(field, slot);
	*local = converted;
	return NULL;
}

MrFailure *
mr_time_put(const MrDecodeField *field, Timestamp time, Datum *value)
{
	int64 days = time / USECS_PER_DAY - (time % USECS_PER_DAY < 0 ? 1 : 0);

	switch (field->type_id)
	{
		case DATEOID:
			*value = TIMESTAMP_NOT_FINITE(time)
						 ? DirectFunctionCall1(timestamp_date, TimestampGetDatum(time))
						 : DateADTGetDatum((DateADT) days);
			return NULL;
		case TIMEOID:
			/* 24:00 is a time, and is not in a timestamp */
			*value = TimeADTGetDatum(time == USECS_PER_DAY ? time : time - days * USECS_PER_DAY);
			if (field->typmod >= 0)
				*value = DirectFunctionCall2(time_scale, *value, Int32GetDatum(field->typmod));
			return NULL;
		default:
			if (field->typmod >= 0)
				mr_timestamp_for_typmod(&time, field->typmod);
			*value = TimestampGetDatum(time);
			return NULL;
	}
}

/* Only years 1 to 9999 come here: no result can be out of range. */
static int64
microseconds(const IsoTime *t)
{
	int64 seconds =
		(int64) (date2j(t->year, t->month, t->day) - POSTGRES_EPOCH_JDATE) * SECS_PER_DAY +
		t->hour * SECS_PER_HOUR + t->minute * SECS_PER_MINUTE + t->second;

	return seconds * USECS_PER_SEC + t->microsecond;
}

/* Of a local time in the reading's zone: seconds east of UTC. */
static int
zone_s(const MrReading *reading, const IsoTime *t)
{
	struct pg_tm tm = {.tm_year = t->year,
					   .tm_mon = t->month,
					   .tm_mday = t->day,
					   .tm_hour = t->hour,
					   .tm_min = t->minute,
					   .tm_sec = t->second};

	if (reading->utc)
		return 0;
	return -DetermineTimeZoneOffset(&tm, reading->zone);
}

static MrFailure *
to_local(MrDecodeField *field, const MrJsonSlot *slot, const IsoTime *t, Timestamp *local)
{
	*local = microseconds(t);
	if (field->reading->utc && t->zone_s == 0)
		return NULL;
	return mr_time_settle_zone(field, slot, *local - (int64) t->zone_s * USECS_PER_SEC, local);
}

static MrFailure *
not_iso(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	if (slot->kind == MR_JSON_STRING)
		return mr_time_from_text(field, slot, value);
	if (slot->kind == MR_JSON_NUMBER && mr_is_epoch_type(field->type_id))
		return mr_convert_epoch(field, slot, slot, value);
	return mr_decode_wrong(field, slot, ERRCODE_INVALID_DATETIME_FORMAT, field->expected);
}

/* n digits, or something negative */
static inline int
digits(const char *p, int n)
{
	int value = 0;
	int wrong = 0;

	for (int i = 0; i < n; i++)
	{
		int digit = p[i] - '0';

		wrong |= digit | (9 - digit);
		value = value * 10 + digit;
	}
	return wrong < 0 ? -1 : value;
}

static inline bool
read_iso(const MrJsonSlot *slot, IsoTime *t)
{
	const char *p = slot->start;
	const char *end = p + slot->length;

	if (slot->kind != MR_JSON_STRING || slot->length < 10 || p[4] != '-' || p[7] != '-')
		return false;
	t->year = digits(p, 4);
	t->month = digits(p + 5, 2);
	t->day = digits(p + 8, 2);
	if (t->year < 1 || t->month < 1 || t->month > 12 || t->day < 1 ||
		t->day > day_tab[isleap(t->year)][t->month - 1])
		return false;
	t->hour = t->minute = t->second = t->microsecond = t->zone_s = 0;
	t->has_zone = false;
	p += 10;
	if (p == end)
		return true;
	if (*p != 'T' && *p != ' ')
		return false;
	p++;
	return read_clock(&p, end, t) && read_zone(&p, end, t) && p == end;
}

static bool
read_clock(const char **at, const char *end, IsoTime *t)
{
	const char *p = *at;

	if (end - p < 5 || p[2] != ':')
		return false;
	t->hour = digits(p, 2);
	t->minute = digits(p + 3, 2);
	p += 5;
	if (end - p >= 3 && *p == ':')
	{
		t->second = digits(p + 1, 2);
		p += 3;
		if (p < end && *p == '.' && !read_fraction(&p, end, t))
			return false;
	}
	*at = p;
	return (unsigned) t->hour <= 23 && (unsigned) t->minute <= 59 && (unsigned) t->second <= 59;
}

/* Rounded as PostgreSQL rounds, by way of a double. */
static bool
read_fraction(const char **at, const char *end, IsoTime *t)
{
	static const double tens[FRACTION_DIGITS + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
													 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
	static const int scale[7] = {1000000, 100000, 10000, 1000, 100, 10, 1};
	const char *p = ++*at;
	int64 value = 0;
	int count;

	for (; p < end && *p >= '0' && *p <= '9' && p - *at <= FRACTION_DIGITS; p++)
		value = value * 10 + (*p - '0');
	count = (int) (p - *at);
	if (count == 0 || count > FRACTION_DIGITS)
		return false;
	*at = p;
	if (count <= 6)
		t->microsecond = (int) value * scale[count];
	else
		t->microsecond = (int) rint((double) value / tens[count] * 1000000);
	return true;
}

static bool
read_zone(const char **at, const char *end, IsoTime *t)
{
	const char *p = *at;
	int sign;
	int hour;
	int minute = 0;

	if (p == end)
		return true;
	t->has_zone = true;
	if (*p == 'Z')
	{
		*at = p + 1;
		return true;
	}
	if ((*p != '+' && *p != '-') || end - p < 3)
		return false;
	sign = *p == '-' ? -1 : 1;
	hour = digits(p + 1, 2);
	p += 3;
	if (end - p == 3 && *p == ':')
		p++;
	if (end - p == 2)
	{
		minute = digits(p, 2);
		p += 2;
	}
	*at = p;
	t->zone_s = sign * (hour * SECS_PER_HOUR + minute * SECS_PER_MINUTE);
	return (unsigned) hour <= MAX_TZDISP_HOUR && (unsigned) minute <= 59;
}
