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

#define SETTLED_US   INT64_C(200000)  /* after the minute's end, for batches that were under way */
#define TRY_AGAIN_US INT64_C(5000000) /* after an error */

/* A step of recording a minute. */
typedef struct Recording
{
	TimestampTz minute;
	bool complete;
} Recording;

static void
record(void *arg)
{
	static Oid types[] = {TIMESTAMPTZOID, INTERVALOID};
	Recording *recording = arg;
	Interval retention = {.time = (int64) mr_stats_retention_min * USECS_PER_MINUTE};
	Datum values[] = {TimestampTzGetDatum(recording->minute), IntervalPGetDatum(&retention)};
	bool isnull;

	if (!mr_xact_begin("recording statistics"))
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	if (SPI_execute_with_args("SELECT millrace._record_minute($1, $2)", lengthof(types), types,
							  values, NULL, false, 0) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not record statistics");
	recording->complete =
		DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
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
	Recording recording = {.minute = begin - USECS_PER_MINUTE};

	if (recording.minute == recorded)
		return begin + USECS_PER_MINUTE - now;
	if (!mr_xact_guard(record, &recording))
		return TRY_AGAIN_US;
	if (!recording.complete)
		return 0;
	recorded = recording.minute;
	return begin + USECS_PER_MINUTE - now;
}
