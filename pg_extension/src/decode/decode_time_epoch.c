/*
 * decode_time_epoch.c - a number as a date, a time or an interval, in the unit that the reading says
 *
 * A point in time counts from 1970-01-01 00:00 UTC (a date or timestamp without zone is local to the reading's zone), a time
 * of the day from midnight. Without a unit a number is refused: 1767225600 is in 2026 as seconds and in January 1970 as
 * milliseconds.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "decode/decode_time.h"

static bool in_microseconds(MrEpoch unit, const MrJsonSlot *number, int64 *result);
static MrFailure *amount(const MrDecodeField *field, int64 us, Datum *value);
static MrFailure *out_of_range(const MrDecodeField *field, const MrJsonSlot *slot);

MrFailure *
mr_convert_epoch(MrDecodeField *field, const MrJsonSlot *slot, const MrJsonSlot *number,
				 Datum *value)
{
	const MrReading *reading = field->reading;
	Timestamp time;
	int64 us;

	if (reading->epoch == MR_EPOCH_NONE)
		return mr_time_without_unit(field, slot);
	if (!in_microseconds(reading->epoch, number, &us))
		return out_of_range(field, slot);
	if (field->type_id == INTERVALOID)
		return amount(field, us, value);
	if (field->type_id == TIMEOID)
		return us < 0 || us > USECS_PER_DAY ? out_of_range(field, slot)
											: mr_time_put(field, us, value);
	if (pg_sub_s64_overflow(us, (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY,
							&time) ||
		!IS_VALID_TIMESTAMP(time))
		return out_of_range(field, slot);
	if (field->type_id != TIMESTAMPTZOID &&
		!(field->type_id == DATEOID && reading->epoch == MR_EPOCH_DAYS) &&
		!mr_time_to_local(reading, time, &time))
		return out_of_range(field, slot);
	return mr_time_put(field, time, value);
}

bool
mr_is_epoch_type(Oid type_id)
{
	return type_id == DATEOID || type_id == TIMESTAMPOID || type_id == TIMESTAMPTZOID ||
		   type_id == TIMEOID || type_id == INTERVALOID;
}

/* mantissa * 10 ^ exponent units; a fraction of a microsecond is rounded. */
static bool
in_microseconds(MrEpoch unit, const MrJsonSlot *number, int64 *result)
{
	static const int tens[] = {[MR_EPOCH_DAYS] = 6,
							   [MR_EPOCH_S] = 6,
							   [MR_EPOCH_MS] = 3,
							   [MR_EPOCH_US] = 0,
							   [MR_EPOCH_NS] = -3};
	int exponent = number->exponent + tens[unit];
	uint64 size = number->mantissa;
	uint64 rest = 0;

	if ((number->flags & MR_JSON_INEXACT) || (unit == MR_EPOCH_DAYS && size > PG_INT32_MAX))
		return false;
	if (unit == MR_EPOCH_DAYS)
		size *= SECS_PER_DAY;
	for (; exponent > 0 && size != 0; exponent--)
	{
		if (size > PG_INT64_MAX / 10)
			return false;
		size *= 10;
	}
	for (; exponent < 0 && (size != 0 || rest != 0); exponent++)
	{
		rest = size % 10;
		size /= 10;
	}
	if (rest >= 5)
		size++;
	if (size > PG_INT64_MAX)
		return false;
	*result = number->flags & MR_JSON_NEGATIVE ? -(int64) size : (int64) size;
	return true;
}

/* Days stay days, which need not have 24 hours. */
static MrFailure *
amount(const MrDecodeField *field, int64 us, Datum *value)
{
	Interval *interval = palloc0(sizeof(Interval));
	bool days = field->reading->epoch == MR_EPOCH_DAYS;

	interval->day = days ? (int32) (us / USECS_PER_DAY) : 0;
	interval->time = days ? us % USECS_PER_DAY : us;
	*value = IntervalPGetDatum(interval);
	if (field->typmod >= 0)
		*value = DirectFunctionCall2(interval_scale, *value, Int32GetDatum(field->typmod));
	return NULL;
}

static MrFailure *
out_of_range(const MrDecodeField *field, const MrJsonSlot *slot)
{
	return mr_decode_trouble(field, slot, ERRCODE_DATETIME_FIELD_OVERFLOW, "is out of range");
}
