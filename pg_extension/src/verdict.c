/*
 * verdict.c: see verdict.h. Runs in workers, between write and settle.
 *
 * The breaker's hypothesis: an event can raise 42501 (row security) or 42P01 (a table named by data). An event
 * that fails while a neighbour passes is at fault itself, whatever its SQLSTATE; what fails without any event
 * was raised as trouble before (isolate.c). One event that fails alone with class `break` proves nothing yet
 * and is tried again.
 */
#include "verdict.h"

#include "common/pg_prng.h"
#include "utils/timestamp.h"

#include "error_class.h"
#include "retry_policy.h"

static bool
passed(const MrEvent *event)
{
	return event->outcome != MR_DEAD && event->outcome != MR_SKIPPED && event->outcome != MR_PARKED;
}

static int
failures_of(const MrEvent *event)
{
	return (event->past ? event->past->attempts : 0) + 1;
}

static bool
is_too_old(const MrDefinition *definition, const MrEvent *event, TimestampTz now)
{
	return definition->retry.age_ms > 0 && event->past != NULL && !event->past->parked &&
		   now - event->past->first_failed_at > definition->retry.age_ms * 1000;
}

/* A replay is one try; decode failures are of the bytes, which do not change. */
static bool
may_retry(const MrDefinition *definition, const MrEvent *event)
{
	return event->failure->stage != MR_STAGE_DECODE &&
		   failures_of(event) <= definition->retry.max_retries &&
		   !is_too_old(definition, event, GetCurrentTimestamp());
}

void
mr_verdict(const MrDefinition *definition, MrBatch *batch)
{
	int nbreak = 0;
	MrEvent *suspicious = NULL;

	for (int i = 0; i < batch->nevents; i++)
		batch->any_passed = batch->any_passed || passed(&batch->events[i]);
	for (int i = 0; i < batch->nevents; i++)
	{
		MrEvent *event = &batch->events[i];
		MrAction action;

		if (event->outcome != MR_DEAD || event->failure->stage == MR_STAGE_DECODE)
			continue;
		action = mr_error_class_action(definition->pipeline_id, event->failure);
		event->retryable =
			action == MR_ACTION_RETRY || (action == MR_ACTION_BREAK && !batch->any_passed);
		if (action == MR_ACTION_BREAK)
		{
			nbreak++;
			suspicious = suspicious ? suspicious : event;
		}
		if (event->retryable && may_retry(definition, event))
			event->outcome = MR_RETRYING;
	}
	if (nbreak > 1 && !batch->any_passed)
		mr_failure_raise(suspicious->failure);
}

MrEnd
mr_verdict_end(const MrDefinition *definition, const MrEvent *event)
{
	if (event->crashes > 0)
		return MR_END_CRASHED;
	if (!event->retryable)
		return MR_END_PERMANENT;
	return failures_of(event) > definition->retry.max_retries ? MR_END_EXHAUSTED : MR_END_TOO_OLD;
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
