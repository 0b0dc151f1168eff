/*
 * verdict.c: see verdict.h. Runs in workers, between write and settle.
 *
 * The breaker's hypothesis: an event can raise 42501 (row security), 42P01 (a table named by data), or anything
 * else (a user's RAISE). What fails without any event was raised as trouble before (isolate.c). An event that
 * fails where a neighbour passes is at fault itself, whatever its SQLSTATE. Trouble is
 *
 * - several distinct events that fail with class `break` where no event passes, in one batch or one by one in several, unless
 *   it is known of them: each has failed so before, while others passed;
 * - any of them, while the breaker is half open; but not of events that are tried again when those of the lanes pass
 *   meanwhile: then each failure is a try that counts;
 * - most events of a batch out of space, memory or connections: some may pass by luck;
 * - waiting for a lock in vain where no event passes, until that has been tried several times.
 *
 * One event that fails alone with class `break` proves nothing yet and is tried again.
 */
#include "fail/verdict.h"

#include "common/pg_prng.h"
#include "utils/timestamp.h"

#include "pipeline/error_class.h"
#include "fail/retry.h"
#include "fail/retry_policy.h"

/* What the failures of a batch are, all in all. */
typedef struct Tally
{
	int news;               /* class `break` where no event passed, and it is new of that event */
	const MrFailure *fresh; /* the last of them */
	int scarce;             /* the same, and no SQLSTATE of the data */
	MrEvent *broken;        /* the first with class `break` where no event passed */
	MrEvent *waited;        /* the first that waited where no event passed */
	MrEvent *starved;
	const MrFailure *classified; /* the last that was looked up, and its action */
	MrAction action;
} Tally;

static bool
has_passed(const MrEvent *event, MrStage stage)
{
	switch ((MrOutcomeState) event->outcome.state)
	{
		case MR_WRITTEN:
		case MR_SUPERSEDED:
			return true;
		case MR_FILTERED:
			return stage == MR_STAGE_TRANSFORM;
		case MR_FAILED:
			return stage >= MR_STAGE_TRANSFORM && stage < event->outcome.failure->stage;
		case MR_RETRYING:
		case MR_DEAD:
		case MR_PARKED:
		case MR_DISCARDED:
		case MR_SKIPPED:
		case MR_PENDING:
			break;
	}
	return false;
}

/* Its last failure, of another try, had the same SQLSTATE. */
static bool
failed_so_before(const MrEvent *event)
{
	return mr_retry_failed_last_with(event, event->outcome.failure->sqlstate);
}

static int
failures_of(const MrEvent *event)
{
	return (event->retry ? event->retry->attempts : 0) + 1;
}

static bool
is_too_old(const MrDefinition *definition, const MrEvent *event, TimestampTz now)
{
	return definition->retry.age_ms > 0 && event->retry != NULL && !event->retry->parked &&
		   now - event->retry->first_failed_at > definition->retry.age_ms * 1000;
}

/* A replay counts its tries from one again. */
static void
retry_or_bury(const MrDefinition *definition, MrEvent *event)
{
	if (failures_of(event) > definition->retry.max_retries)
		mr_outcome_bury(&event->outcome, MR_END_EXHAUSTED);
	else if (is_too_old(definition, event, GetCurrentTimestamp()))
		mr_outcome_bury(&event->outcome, MR_END_TOO_OLD);
	else
		mr_outcome_retry(&event->outcome);
}

static bool
is_same_kind(const MrFailure *a, const MrFailure *b)
{
	const char *left = a->constraint_name != NULL ? a->constraint_name : "";
	const char *right = b->constraint_name != NULL ? b->constraint_name : "";

	return a->sqlstate == b->sqlstate && strcmp(left, right) == 0;
}

/*
 * The failures of a batch are of few kinds; the table is not read for each. A column that nothing fills is as a column that is
 * missing: no event can have it.
 */
static MrAction
classify(Tally *tally, int32 pipeline_id, const MrFailure *failure)
{
	if (OidIsValid(failure->unfilled_in))
		return MR_ACTION_BREAK;
	if (tally->classified == NULL || !is_same_kind(tally->classified, failure))
		tally->action = mr_error_class_action(pipeline_id, failure);
	tally->classified = failure;
	return tally->action;
}

/* Something of the server's or of others' is missing, and may be there again; damage (class XX) does not go by itself. */
static bool
is_scarcity(int sqlstate)
{
	return !mr_error_is_of_the_data(sqlstate) &&
		   ERRCODE_TO_CATEGORY(sqlstate) != MAKE_SQLSTATE('X', 'X', '0', '0', '0');
}

static void
judge(const MrDefinition *definition, MrEvent *event, const bool *passed, Tally *tally)
{
	MrAction action = classify(tally, definition->pipeline_id, event->outcome.failure);
	bool none_passed = !passed[event->outcome.failure->stage];
	bool scarce = is_scarcity(event->outcome.failure->sqlstate);
	bool retryable =
		action == MR_ACTION_RETRY || (action == MR_ACTION_BREAK && (none_passed || scarce));

	if (action == MR_ACTION_BREAK && none_passed)
	{
		if (!failed_so_before(event))
		{
			tally->news++;
			tally->fresh = event->outcome.failure;
		}
		tally->broken = tally->broken ? tally->broken : event;
	}
	if (action == MR_ACTION_BREAK && scarce && !failed_so_before(event))
	{
		tally->scarce++;
		tally->starved = tally->starved ? tally->starved : event;
	}
	if (event->outcome.failure->waited && none_passed)
		tally->waited = tally->waited ? tally->waited : event;
	if (!retryable)
		mr_outcome_bury(&event->outcome, MR_END_PERMANENT);
	else
		retry_or_bury(definition, event);
}

/* Failures with class `break` where no event passed: are they trouble? */
static bool
is_trouble(const Tally *tally, const MrBreaker *breaker, const MrLoneFailures *lone)
{
	if (tally->broken == NULL || mr_breaker_others_pass(breaker))
		return false;
	return mr_breaker_is_probing(breaker) ||
		   (tally->news > 0 &&
			mr_lone_suspects(lone, tally->fresh->stage, tally->fresh->sqlstate, tally->news));
}

void
mr_verdict(const MrDefinition *definition, MrBatch *batch, const MrBreaker *breaker,
		   const MrLoneFailures *lone)
{
	Tally tally = {0};

	for (int i = 0; i < batch->nevents; i++)
		for (MrStage stage = MR_STAGE_TRANSFORM; stage < MR_STAGES; stage++)
			batch->passed[stage] = batch->passed[stage] || has_passed(&batch->events[i], stage);
	for (int i = 0; i < batch->nevents; i++)
	{
		MrEvent *event = &batch->events[i];

		if (event->outcome.state != MR_FAILED)
			continue;
		if (event->outcome.failure->stage == MR_STAGE_DECODE)
			mr_outcome_bury(&event->outcome, MR_END_PERMANENT); /* its bytes do not change */
		else
			judge(definition, event, batch->passed, &tally);
	}
	if (is_trouble(&tally, breaker, lone))
		mr_failure_raise(tally.broken->outcome.failure);
	if (tally.scarce > 1 && tally.scarce > batch->nevents / 2 && !mr_breaker_blames_events(breaker))
		mr_failure_raise(tally.starved->outcome.failure);
	if (tally.waited != NULL && !mr_breaker_blames_events(breaker))
		mr_failure_raise(tally.waited->outcome.failure);
	/* of this round: the write may be judged again */
	batch->nlone = mr_breaker_others_pass(breaker) ? 0 : tally.news;
	batch->lone = tally.fresh;
}

TimestampTz
mr_verdict_next_try(const MrDefinition *definition, const MrEvent *event, TimestampTz now)
{
	int64 delay =
		mr_retry_delay_ms(failures_of(event), definition->retry.delay_ms, definition->retry.factor,
						  definition->retry.max_delay_ms, definition->retry.jitter,
						  pg_prng_double(&pg_global_prng_state));

	return TimestampTzPlusMilliseconds(now, delay);
}
