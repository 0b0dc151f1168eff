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
static bool retries_held = false; /* the log says so */
static int64 open_since = 0;      /* mr_clock_us(); 0: since an earlier worker */

static void
log_opened(const char *reason, int sqlstate, int64 wait_us)
{
	ereport(LOG, (errmsg("millrace: circuit breaker of pipeline \"%s\" opened: %s",
						 mr_seat->pipeline, reason),
				  errdetail("The SQLSTATE is %s, and the next probe comes in %lld ms.",
							unpack_sql_state(sqlstate), (long long) wait_us / 1000),
				  errhint("SELECT * FROM millrace.breakers shows it until it closes.")));
}

static void
log_closed(void)
{
	char after[32] = "";

	if (open_since != 0)
		snprintf(after, sizeof(after), " after %.1f s", (mr_clock_us() - open_since) / 1e6);
	ereport(LOG, (errmsg("millrace: circuit breaker of pipeline \"%s\" closed%s", mr_seat->pipeline,
						 after)));
}

void
mr_trouble_begin(MrBreaker *breaker)
{
	if (!mr_breaker_table_is_open(mr_seat->pipeline_id))
		return;
	mr_breaker_inherit(breaker);
	shown = MR_BREAKER_OPEN;
}

static const char *
reason_of(const ErrorData *error)
{
	return error->message != NULL ? error->message : "missing error text";
}

/* Moves the breaker. Returns whether it is open then. */
static bool
note(MrBreaker *breaker, const ErrorData *error, int64 now)
{
	bool lasting = breaker->state == MR_BREAKER_CLOSED &&
				   mr_breaker_table_lasts(mr_seat->pipeline_id, error->sqlerrcode);

	return mr_breaker_trouble(breaker, lasting, now);
}

void
mr_trouble_met(MrBreaker *breaker, const ErrorData *error)
{
	bool was_closed = breaker->state == MR_BREAKER_CLOSED;
	int64 now = mr_clock_us();

	mr_seat_show_error(reason_of(error));
	if (!note(breaker, error, now))
		return;
	if (was_closed)
		open_since = now;
	shown = MR_BREAKER_OPEN;
	if (mr_breaker_table_open(mr_seat->pipeline_id, reason_of(error), error->sqlerrcode,
							  GetCurrentTimestamp() + mr_breaker_wait_us(breaker, now)))
		log_opened(reason_of(error), error->sqlerrcode, mr_breaker_wait_us(breaker, now));
}

void
mr_trouble_met_by_retries(MrBreaker *breaker, const ErrorData *error)
{
	int64 now = mr_clock_us();

	mr_seat_show_error(reason_of(error));
	if (!note(breaker, error, now) || retries_held)
		return;
	retries_held = true;
	ereport(LOG, (errmsg("millrace: retries of pipeline \"%s\" are held back: %s",
						 mr_seat->pipeline, reason_of(error)),
				  errdetail("The SQLSTATE is %s, and the next try comes in %lld ms; events of the "
							"lanes are processed meanwhile.",
							unpack_sql_state(error->sqlerrcode),
							(long long) mr_breaker_wait_us(breaker, now) / 1000)));
}

void
mr_trouble_retries_settled(MrBreaker *breaker)
{
	(void) mr_breaker_settled(breaker);
	if (retries_held)
		ereport(LOG, (errmsg("millrace: retries of pipeline \"%s\" are tried again",
							 mr_seat->pipeline)));
	retries_held = false;
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
	if (mr_breaker_table_close(mr_seat->pipeline_id))
		log_closed();
	shown = MR_BREAKER_CLOSED;
}
