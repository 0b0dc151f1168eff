/*
 * backfill.c: see backfill.h. Runs in workers; what is done is SQL of our own, in 68_window_backfill.sql.
 */
#include "window/backfill.h"

#include "catalog/pg_type.h"

#include "server/clock.h"
#include "server/xact.h"
#include "window/state_call.h"

#define FAILED_US                                                                                  \
	INT64_C(1000000) /* after which other windows are looked at; the one that failed rests longer */

typedef struct Filling
{
	int32 pipeline_id;
	int32 window_id;
	int64 rests_us; /* afterwards */
} Filling;

static void
find_window(void *arg)
{
	Filling *filling = arg;
	Datum pipeline = Int32GetDatum(filling->pipeline_id);

	filling->window_id = DatumGetInt32(mr_state_call(filling->pipeline_id, false,
													 "SELECT millrace._backfill_window($1)", 1,
													 &(Oid){INT4OID}, &pipeline));
}

static void
fill_stretch(void *arg)
{
	Filling *filling = arg;
	Datum window = Int32GetDatum(filling->window_id);

	filling->rests_us = DatumGetInt64(mr_state_call(filling->pipeline_id, false,
													"SELECT millrace._backfill_step($1)", 1,
													&(Oid){INT4OID}, &window));
}

static void
release(void *arg)
{
	Datum window = Int32GetDatum(((const Filling *) arg)->window_id);

	(void) mr_state_call(((const Filling *) arg)->pipeline_id, false,
						 "SELECT millrace._backfill_released($1)", 1, &(Oid){INT4OID}, &window);
}

void
mr_backfill_if_due(MrFold *fold, int32 pipeline_id)
{
	Filling filling = {.pipeline_id = pipeline_id, .rests_us = FAILED_US};

	if (mr_clock_us() < mr_backfill_due_at(fold))
		return;
	if (mr_xact_guard(find_window, &filling))
	{
		fold->filling = filling.window_id != 0;
		/* What has failed, or was canceled, has an outcome: this process may end before it tries again. */
		if (fold->filling && !mr_state_try(filling.window_id, "backfill", fill_stretch, &filling))
			(void) mr_xact_guard(release, &filling);
	}
	fold->fill_at = mr_clock_us() + filling.rests_us;
}

int64
mr_backfill_due_at(const MrFold *fold)
{
	return fold->filling ? fold->fill_at : PG_INT64_MAX;
}
