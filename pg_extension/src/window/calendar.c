/*
 * calendar.c: millrace.window_pane(), _later(), _earlier(): days and months of a calendar, as a window is kept by them.
 *
 * A day begins with its first hour: where clocks are put back over midnight, that comes twice (in Cuba and on the Azores each year), and AT TIME ZONE
 * takes the second one; where they are put forward, it begins at 1:00. A pane has just the times from its start to its end, whatever a clock shows: where it
 * was put back from 0:01 to 23:01 (in Newfoundland, before 2011), the first 0:00 is in the day that has not ended yet.
 *
 * The first of these is called for each row of each batch. It keeps the panes it has found, which most rows are in; only what is not among them asks the time
 * zone, some four times. Runs in any session; what it keeps is the calling expression's, and nothing that matters.
 */
#include "postgres.h"

#include "common/int.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "server/compat.h"

#define MAX_DAYS 100000 /* or months, of a slide; those of windows are of 10 years at most */

/* What is kept: each part of a pane has a place of its own, so that most of them are of one pane alone, as the hours of a day. */
#define NKEPT 1024
#define PARTS 24

typedef struct Pane
{
	TimestampTz start;
	TimestampTz end;
} Pane;

typedef struct Calendar
{
	Interval slide; /* days, or months */
	text *zone;
	Timestamp origin;
	int64 part; /* microseconds */
	Pane kept[NKEPT];
} Calendar;

PG_FUNCTION_INFO_V1(mr_sql_window_pane);
PG_FUNCTION_INFO_V1(mr_sql_window_later);
PG_FUNCTION_INFO_V1(mr_sql_window_earlier);

static TimestampTz
at_zone(const text *zone, Timestamp local)
{
	return DatumGetTimestampTz(
		DirectFunctionCall2(timestamp_zone, PointerGetDatum(zone), TimestampGetDatum(local)));
}

static Timestamp
local_time(const text *zone, TimestampTz at)
{
	return DatumGetTimestamp(
		DirectFunctionCall2(timestamptz_zone, PointerGetDatum(zone), TimestampTzGetDatum(at)));
}

static Timestamp
plus(Timestamp local, const Interval *span)
{
	return DatumGetTimestamp(DirectFunctionCall2(timestamp_pl_interval, TimestampGetDatum(local),
												 IntervalPGetDatum(span)));
}

static Timestamp
minus(Timestamp local, const Interval *span)
{
	return DatumGetTimestamp(DirectFunctionCall2(timestamp_mi_interval, TimestampGetDatum(local),
												 IntervalPGetDatum(span)));
}

/* The first of the moments at which a clock shows this midnight. */
static TimestampTz
day_start(const text *zone, Timestamp midnight)
{
	TimestampTz last = at_zone(zone, midnight);
	TimestampTz first = at_zone(zone, midnight - 1) + 1;

	return Min(first, last);
}

static int64
floor_div(int64 a, int64 b)
{
	return a / b - (a % b < 0 ? 1 : 0);
}

/* The midnight at which the pane begins that a local time is in, by its date. */
static Timestamp
pane_midnight(const Calendar *calendar, Timestamp local)
{
	struct pg_tm at;
	struct pg_tm from;
	fsec_t fraction;
	Interval span = {0};
	int64 width = calendar->slide.day * USECS_PER_DAY;
	int64 since; /* the origin */

	if (calendar->slide.month == 0 && !pg_sub_s64_overflow(local, calendar->origin, &since))
		return calendar->origin + floor_div(since, width) * width;
	if (calendar->slide.month == 0 || timestamp2tm(local, NULL, &at, &fraction, NULL, NULL) != 0 ||
		timestamp2tm(calendar->origin, NULL, &from, &fraction, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	span.month =
		(int32) floor_div((at.tm_year - from.tm_year) * MONTHS_PER_YEAR + at.tm_mon - from.tm_mon,
						  calendar->slide.month) *
		calendar->slide.month;
	return plus(calendar->origin, &span);
}

static Pane
find_pane(const Calendar *calendar, TimestampTz at)
{
	Timestamp midnight = pane_midnight(calendar, local_time(calendar->zone, at));
	Pane pane = {.start = day_start(calendar->zone, midnight)};

	while (at < pane.start)
	{
		midnight = minus(midnight, &calendar->slide);
		pane.start = day_start(calendar->zone, midnight);
	}
	for (;;)
	{
		midnight = plus(midnight, &calendar->slide);
		pane.end = day_start(calendar->zone, midnight);
		if (at < pane.end)
			return pane;
		pane.start = pane.end;
	}
}

/* NULL: for the first time. One at a time is kept, whatever the arguments are. */
static Calendar *
make_calendar(Calendar *former, MemoryContext context, const Interval *slide, const text *zone,
			  Timestamp origin)
{
	Calendar *calendar = former != NULL ? former : MemoryContextAlloc(context, sizeof(Calendar));

	if (former != NULL)
		pfree(former->zone);
	memset(calendar, 0, sizeof(Calendar));
	calendar->slide = *slide;
	calendar->origin = origin;
	calendar->zone = (text *) MemoryContextAlloc(context, VARSIZE_ANY(zone));
	memcpy(calendar->zone, zone, VARSIZE_ANY(zone));
	calendar->part = (slide->month * (int64) DAYS_PER_MONTH + slide->day) * USECS_PER_DAY / PARTS;
	return calendar;
}

static bool
is_of(const Calendar *calendar, const Interval *slide, const text *zone, Timestamp origin)
{
	return calendar != NULL && calendar->slide.day == slide->day &&
		   calendar->slide.month == slide->month && calendar->origin == origin &&
		   VARSIZE_ANY(calendar->zone) == VARSIZE_ANY(zone) &&
		   memcmp(calendar->zone, zone, VARSIZE_ANY(zone)) == 0;
}

/* millrace.window_pane(at timestamptz, slide interval, time_zone text, origin timestamp) RETURNS timestamptz */
Datum
mr_sql_window_pane(PG_FUNCTION_ARGS)
{
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(0);
	const Interval *slide = PG_GETARG_INTERVAL_P(1);
	const text *zone = PG_GETARG_TEXT_PP(2);
	Timestamp origin = PG_GETARG_TIMESTAMP(3);
	Calendar *calendar = fcinfo->flinfo->fn_extra;
	Pane *kept;

	if (slide->time != 0 || slide->day < 0 || slide->day > MAX_DAYS || slide->month < 0 ||
		slide->month > MAX_DAYS || (slide->day == 0) == (slide->month == 0) ||
		TIMESTAMP_NOT_FINITE(origin))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the slide of a calendar is a number of days or months, and its "
							   "origin a time")));
	if (TIMESTAMP_NOT_FINITE(at))
		PG_RETURN_TIMESTAMPTZ(at);
	if (!is_of(calendar, slide, zone, origin))
		calendar = fcinfo->flinfo->fn_extra =
			make_calendar(calendar, fcinfo->flinfo->fn_mcxt, slide, zone, origin);
	kept = &calendar->kept[(uint64) floor_div(at, calendar->part) % NKEPT];
	if (at < kept->start || at >= kept->end)
		*kept = find_pane(calendar, at);
	PG_RETURN_TIMESTAMPTZ(kept->start);
}

static Timestamp
midnight_of(const text *zone, TimestampTz at)
{
	return floor_div(local_time(zone, at), USECS_PER_DAY) * USECS_PER_DAY;
}

/* millrace.window_later(start timestamptz, by interval, time_zone text) RETURNS timestamptz */
Datum
mr_sql_window_later(PG_FUNCTION_ARGS)
{
	TimestampTz start = PG_GETARG_TIMESTAMPTZ(0);
	const text *zone = PG_GETARG_TEXT_PP(2);

	if (TIMESTAMP_NOT_FINITE(start))
		PG_RETURN_TIMESTAMPTZ(start);
	PG_RETURN_TIMESTAMPTZ(day_start(zone, plus(midnight_of(zone, start), PG_GETARG_INTERVAL_P(1))));
}

/*
 * millrace.window_earlier(start timestamptz, by interval, time_zone text) RETURNS timestamptz
 * Null where a calendar leaves that day out (30 December 2011, in Samoa): it begins with the next one, and would be taken for that.
 */
Datum
mr_sql_window_earlier(PG_FUNCTION_ARGS)
{
	TimestampTz start = PG_GETARG_TIMESTAMPTZ(0);
	const text *zone = PG_GETARG_TEXT_PP(2);
	Timestamp midnight;

	if (TIMESTAMP_NOT_FINITE(start))
		PG_RETURN_TIMESTAMPTZ(start);
	midnight = minus(midnight_of(zone, start), PG_GETARG_INTERVAL_P(1));
	start = day_start(zone, midnight);
	if (midnight_of(zone, start) != midnight)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(start);
}
