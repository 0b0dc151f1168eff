/*
 * minutes.c: see minutes.h.
 */
#include "stats/minutes.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "server/guc.h"
#include "server/xact.h"

#define SETTLED_US INT64_C(200000) /* after the minute's end, for batches that were under way */

static void
record(TimestampTz minute)
{
	static Oid types[] = {TIMESTAMPTZOID, INTERVALOID};
	Interval retention = {.time = (int64) mr_stats_retention_min * USECS_PER_MINUTE};
	Datum values[] = {TimestampTzGetDatum(minute), IntervalPGetDatum(&retention)};

	if (!mr_xact_begin("recording statistics"))
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	if (SPI_execute_with_args("SELECT millrace._record_minute($1, $2)", lengthof(types), types,
							  values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not record statistics");
	SPI_finish();
	PopActiveSnapshot();
	mr_xact_commit();
}

int64
mr_minutes_record(void)
{
	static TimestampTz recorded = DT_NOBEGIN; /* begin of the minute recorded last */
	TimestampTz now = GetCurrentTimestamp() - SETTLED_US;
	TimestampTz begin =
		now - now % USECS_PER_MINUTE - (now % USECS_PER_MINUTE < 0 ? USECS_PER_MINUTE : 0);

	if (begin - USECS_PER_MINUTE != recorded)
	{
		record(begin - USECS_PER_MINUTE);
		recorded = begin - USECS_PER_MINUTE;
	}
	return begin + USECS_PER_MINUTE - now;
}
