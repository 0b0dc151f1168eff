/*
 * decode_time.c - date, timestamp, timestamptz, interval
 *
 * The ISO 8601 forms that programs write are read here:
 *     2026-03-01    2026-03-01T12:34[:56[.789...]][Z|+05|+05:30|+0530], also with a space for the T
 * Everything else, and every value that is wrong, is passed to the type's input function, so that what is
 * accepted, and what is said of what is not, is PostgreSQL's. As there, a timestamp without time zone
 * ignores a zone, and a timestamptz without one is local to the session's TimeZone.
 */
#include "postgres.h"

#include <math.h>

#include "pgtime.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "decode/decode_field.h"
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
static int session_zone_s(const IsoTime *t);
static MrFailure *ask_input(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);

MrFailure *
mr_convert_date(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	IsoTime t;

	if (!read_iso(slot, &t))
		return ask_input(field, slot, value);
	*value = DateADTGetDatum(date2j(t.year, t.month, t.day) - POSTGRES_EPOCH_JDATE);
	return NULL;
}

MrFailure *
mr_convert_timestamp(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	IsoTime t;
	Timestamp result;

	if (!read_iso(slot, &t))
		return ask_input(field, slot, value);
	result = microseconds(&t);
	if (field->typmod >= 0)
		mr_timestamp_for_typmod(&result, field->typmod);
	*value = TimestampGetDatum(result);
	return NULL;
}

MrFailure *
mr_convert_timestamptz(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	IsoTime t;
	TimestampTz result;

	if (unlikely(!read_iso(slot, &t)))
		return ask_input(field, slot, value);
	if (!t.has_zone)
		t.zone_s = session_zone_s(&t);
	result = microseconds(&t) - (int64) t.zone_s * USECS_PER_SEC;
	if (field->typmod >= 0)
		mr_timestamp_for_typmod(&result, field->typmod);
	*value = TimestampTzGetDatum(result);
	return NULL;
}

MrFailure *
mr_convert_interval(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	return ask_input(field, slot, value);
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

static int
session_zone_s(const IsoTime *t)
{
	struct pg_tm tm = {.tm_year = t->year,
					   .tm_mon = t->month,
					   .tm_mday = t->day,
					   .tm_hour = t->hour,
					   .tm_min = t->minute,
					   .tm_sec = t->second};

	return -DetermineTimeZoneOffset(&tm, session_timezone);
}

static MrFailure *
ask_input(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	MrFailure *failure;

	if (slot->kind == MR_JSON_STRING)
		return mr_convert_input(field, slot, value);
	failure = mr_decode_wrong(field, slot, ERRCODE_INVALID_DATETIME_FORMAT, field->expected);
	if (slot->kind == MR_JSON_NUMBER)
		failure->hint = "Declare the field as bigint or double precision and convert it in the "
						"transform, as in to_timestamp(event.ts / 1000.0).";
	return failure;
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
