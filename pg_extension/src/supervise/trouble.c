/*
 * trouble.c: see trouble.h. Runs in workers.
 */
#include "supervise/trouble.h"

#include "utils/timestamp.h"

#include "server/clock.h"
#include "pipeline/breaker_table.h"
#include "supervise/seat.h"

/* What the table has of this worker's. The state itself may be ahead: writing the table can fail. */
static MrBreakerState shown = MR_BREAKER_CLOSED;

void
mr_trouble_begin(MrBreaker *breaker)
{
	if (!mr_breaker_table_is_open(mr_seat->pipeline_id))
		return;
	mr_breaker_inherit(breaker);
	shown = MR_BREAKER_OPEN;
}

void
mr_trouble_met(MrBreaker *breaker, const ErrorData *error)
{
	const char *reason = error->message != NULL ? error->message : "missing error text";
	bool lasting;
	int64 now;

	mr_seat_show_error(reason);
	lasting = breaker->state != MR_BREAKER_CLOSED ||
			  mr_breaker_table_lasts(mr_seat->pipeline_id, error->sqlerrcode);
	now = mr_clock_us();
	if (!mr_breaker_trouble(breaker, lasting, now))
		return;
	shown = MR_BREAKER_OPEN;
	mr_breaker_table_open(mr_seat->pipeline_id, reason, error->sqlerrcode,
						  GetCurrentTimestamp() + mr_breaker_wait_us(breaker, now));
}

void
mr_trouble_try(MrBreaker *breaker)
{
	(void) mr_breaker_try(breaker);
	if (!mr_breaker_is_probing(breaker) || shown != MR_BREAKER_OPEN)
		return;
	mr_breaker_table_probe(mr_seat->pipeline_id);
	shown = MR_BREAKER_HALF_OPEN;
}

void
mr_trouble_settled(MrBreaker *breaker)
{
	(void) mr_breaker_settled(breaker);
	if (shown == MR_BREAKER_CLOSED)
		return;
	mr_breaker_table_close(mr_seat->pipeline_id);
	shown = MR_BREAKER_CLOSED;
}
