/*
 * trouble.c: see trouble.h. Runs in workers.
 */
#include "supervise/trouble.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "server/clock.h"
#include "server/xact.h"
#include "supervise/seat.h"

#define AGAIN_US                                                                                   \
	5000000 /* until a write that failed is tried again: it may have waited for a lock */

#define NOTABLE_US                                                                                 \
	500000 /* the next probe is later than shown: that of another lane, which waits longer, is next */

static MrShownTrouble *rows; /* of the worker that is served, by MrBreakerKind */

/* A call of breaker_table.h. It may fail: the table may be locked, the disk full. That is no reason to end a worker. */
typedef struct Call
{
	MrBreakerKind kind;
	MrBreakerState state;
	MrBreakerCause cause;
	int sqlstate;
	MrBreakerChange change;
	bool answer;
} Call;

static MrBreakerRow
row_of(MrBreakerKind kind)
{
	return (MrBreakerRow){mr_seat->pipeline_id, mr_seat->number, kind};
}

static void
ask_open(void *arg)
{
	Call *call = arg;
	MrBreakerRow row = row_of(call->kind);

	call->answer = mr_breaker_table_is_open(&row);
}

static void
ask_due(void *arg)
{
	Call *call = arg;
	MrBreakerRow row = row_of(call->kind);

	call->answer = mr_breaker_table_is_due(&row);
}

static void
ask_lasting(void *arg)
{
	Call *call = arg;
	call->answer = mr_breaker_table_lasts(mr_seat->pipeline_id, call->sqlstate);
}

static void
write_row(void *arg)
{
	Call *call = arg;
	MrBreakerRow row = row_of(call->kind);

	call->change = mr_breaker_table_show(&row, call->state, &call->cause);
}

static void
keep_text(char **kept, const char *text)
{
	char *old = *kept;

	*kept = text != NULL ? MemoryContextStrdup(TopMemoryContext, text) : NULL;
	if (old != NULL)
		pfree(old);
}

/* It is over. */
static void
forget(MrShownTrouble *row)
{
	row->stale = false;
	row->again_at = 0;
	keep_text(&row->reason, NULL);
	keep_text(&row->command, NULL);
}

void
mr_trouble_serve(MrTrouble *trouble)
{
	rows = trouble->rows;
}

void
mr_trouble_free(MrTrouble *trouble)
{
	for (int i = 0; i < lengthof(trouble->rows); i++)
		forget(&trouble->rows[i]);
}

bool
mr_trouble_begin(MrBreakerKind kind)
{
	Call call = {.kind = kind};

	if (mr_xact_guard(ask_open, &call) && !call.answer)
		return false; /* not known: a probe does no harm */
	rows[kind].state = MR_BREAKER_OPEN;
	return true;
}

bool
mr_trouble_is_due(MrBreakerKind kind)
{
	Call call = {.kind = kind};

	return rows[kind].state == MR_BREAKER_OPEN && mr_xact_guard(ask_due, &call) && call.answer;
}

void
mr_trouble_met(MrBreakerKind kind, MrBreaker *breaker, const ErrorData *error, const char *command)
{
	MrShownTrouble *row = &rows[kind];
	const char *reason = error->message != NULL ? error->message : "missing error text";
	Call call = {.sqlstate = error->sqlerrcode};
	bool lasting =
		breaker->state == MR_BREAKER_CLOSED && mr_xact_guard(ask_lasting, &call) && call.answer;

	mr_seat_show_error(reason);
	if (!mr_breaker_trouble(breaker, lasting, mr_clock_us()))
		return;
	row->sqlstate = error->sqlerrcode;
	keep_text(&row->reason, reason);
	keep_text(&row->command, command);
	row->stale = true;
}

static void
log_opened(const MrShownTrouble *row, MrBreakerKind kind, int64 wait_us)
{
	if (kind == MR_BREAKER_OF_RETRIES)
		ereport(LOG,
				(errmsg("millrace: retries of pipeline \"%s\" are held back: %s", mr_seat->pipeline,
						row->reason),
				 errdetail("The SQLSTATE is %s, and the next try comes in %lld ms; events of "
						   "the lanes are processed meanwhile.",
						   unpack_sql_state(row->sqlstate), (long long) (wait_us + 999) / 1000),
				 errhint("SELECT * FROM millrace.breakers; shows it until they are tried.")));
	else
		ereport(LOG,
				(errmsg("millrace: circuit breaker of pipeline \"%s\" opened: %s",
						mr_seat->pipeline, row->reason),
				 errdetail("The SQLSTATE is %s, and the next probe comes in %lld ms.",
						   unpack_sql_state(row->sqlstate), (long long) (wait_us + 999) / 1000),
				 errhint("SELECT * FROM millrace.breakers; shows it until it closes.")));
}

static void
log_closed(MrBreakerKind kind, TimestampTz since)
{
	if (kind == MR_BREAKER_OF_RETRIES)
		ereport(LOG, (errmsg("millrace: retries of pipeline \"%s\" are tried again",
							 mr_seat->pipeline)));
	else
		ereport(LOG, (errmsg("millrace: circuit breaker of pipeline \"%s\" closed after %.1f s",
							 mr_seat->pipeline, Max(GetCurrentTimestamp() - since, 0) / 1e6)));
}

void
mr_trouble_show(MrBreakerKind kind, MrBreakerState state, int64 wait_us)
{
	MrShownTrouble *row = &rows[kind];
	Call call = {.kind = kind, .state = state};
	int64 probe_at = mr_clock_us() + wait_us;

	if (row->state == state && !row->stale &&
		(state != MR_BREAKER_OPEN || wait_us == 0 || probe_at - row->probe_at < NOTABLE_US))
		return;
	if (row->state == MR_BREAKER_CLOSED && state == MR_BREAKER_CLOSED)
		forget(row);
	if (row->state == MR_BREAKER_CLOSED && row->reason == NULL && state != MR_BREAKER_OPEN)
		return;
	if (mr_clock_us() < row->again_at)
		return;
	call.cause.reason = row->reason;
	call.cause.sqlstate = row->sqlstate;
	call.cause.command = row->command;
	if (state == MR_BREAKER_OPEN)
		call.cause.next_probe = GetCurrentTimestamp() + wait_us;
	row->stale = !mr_xact_guard(write_row, &call);
	row->again_at = row->stale ? mr_clock_us() + AGAIN_US : 0;
	if (row->stale)
		return;
	row->state = state;
	row->probe_at = probe_at;
	if (call.change.happened && state == MR_BREAKER_CLOSED)
		log_closed(kind, call.change.since);
	else if (call.change.happened && row->reason != NULL)
		log_opened(row, kind, wait_us);
	if (state == MR_BREAKER_CLOSED)
		forget(row);
}
