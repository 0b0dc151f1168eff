/*
 * process.c: decode, transform and write, until every event of a batch has its outcome.
 *
 * Runs in workers, in the transaction of a step, and in the sessions of dry_run(), which rolls it back.
 */
#include "engine/process.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "server/clock.h"
#include "server/errcode.h"
#include "server/xact.h"
#include "program/documents.h"
#include "program/tombstone.h"
#include "run/transform.h"
#include "run/work_record.h"
#include "run/write.h"
#include "fail/retry.h"
#include "fail/verdict.h"

#define ROUNDS_MAX 50 /* of one batch, before it is settled in smaller parts */

/* An event without a payload to decode. */
static void
settle_missing_payload(MrProgram *program, MrEvent *event)
{
	const MrDefinition *definition = program->definition;
	MrFailure *failure;

	if (event->kind & MR_KIND_OVERSIZE)
		mr_outcome_fail(
			&event->outcome,
			mr_failure_make(MR_STAGE_DECODE, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							"the message is larger than the ingestor's max.message.bytes and "
							"was not staged"));
	else if (definition->tombstone == MR_TOMBSTONE_SKIP)
		mr_outcome_skip(&event->outcome);
	else if (definition->tombstone == MR_TOMBSTONE_DELETE)
	{
		failure = mr_tombstone_read(program, event);
		if (failure != NULL)
			mr_outcome_fail(&event->outcome, failure);
	}
	else
	{
		failure = mr_failure_make(MR_STAGE_DECODE, ERRCODE_NULL_VALUE_NOT_ALLOWED,
								  "the message has no payload (a tombstone)");

		failure->hint = psprintf(
			"To skip such messages: SELECT millrace.alter_pipeline(%s, tombstone => 'skip');%s",
			quote_literal_cstr(definition->name),
			definition->on_conflict == MR_CONFLICT_UPDATE
				? " To delete the rows of their keys: tombstone => 'delete'."
				: "");
		mr_outcome_fail(&event->outcome, failure);
	}
}

static void
decode_events(MrEngine *engine)
{
	MrBatch *batch = engine->batch;
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	for (int i = 0; i < batch->nevents; i++)
	{
		MrEvent *event = &batch->events[i];
		MrFailure *failure;
		bool tombstone;

		if (event->outcome.state != MR_PENDING)
			continue;
		/* A replay takes it without them. */
		if (event->kind & MR_KIND_BAD_HEADERS)
		{
			mr_outcome_fail(&event->outcome,
							mr_failure_make(MR_STAGE_DECODE, ERRCODE_INVALID_BINARY_REPRESENTATION,
											"the headers of the message could not be read"));
			continue;
		}
		if (event->payload == NULL || (event->kind & MR_KIND_OVERSIZE))
		{
			settle_missing_payload(engine->program, event);
			continue;
		}
		mr_work_at(event);
		failure = mr_event_relation_decode(engine->program->event, event, &tombstone);
		if (failure != NULL)
			mr_outcome_fail(&event->outcome, failure);
		else if (tombstone)
			settle_missing_payload(engine->program, event);
		if (i % 256 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(old);
}

/* False: what was written is to be rolled back, and written again without the events that failed or were parked. */
static bool
write_and_judge(void *arg)
{
	MrEngine *engine = arg;
	const MrDefinition *definition = engine->program->definition;
	bool parked;

	mr_write_run(engine->program, engine->batch);
	mr_verdict(definition, engine->batch, &engine->pace->breaker, &engine->lone);
	parked = mr_order_park_followers(definition, engine->batch);
	return !parked && !mr_write_is_short(engine->batch);
}

/*
 * Ends, because each time round at least one more event is left out. Rows of one key that are all refused come to
 * light one by one, at the cost of the whole batch for each: smaller parts make that bearable.
 */
static void
write_rows(MrEngine *engine)
{
	const MrDefinition *definition = engine->program->definition;
	int rounds = 1;

	if (definition->on_conflict != MR_CONFLICT_UPDATE && !definition->order.by_key)
	{
		(void) write_and_judge(engine);
		return;
	}
	for (; !mr_subtransaction(write_and_judge, engine); rounds++)
	{
		if (rounds >= ROUNDS_MAX)
			mr_batch_give_back(engine->batch, "too many events of a batch fail");
		mr_write_forget(engine->batch);
	}
}

/* The user's SQL, each statement bounded in time. False: the transform wrote something for an event that is left out. */
static bool
transform_and_write(void *arg)
{
	MrEngine *engine = arg;

	mr_transform_run(engine->program, engine->batch);
	write_rows(engine);
	return !mr_transform_left_effects(engine->batch);
}

/*
 * What the transform writes (an audit record, say) is there once if its event is settled, and not there if it is not. So
 * that it can be undone, all is in one more subtransaction once the transform is known to write; most never do. It ends as
 * the rounds of write_rows() do.
 */
static void
run_program(MrEngine *engine)
{
	int rounds = 1;

	if (!engine->program->transform_writes)
	{
		if (!transform_and_write(engine))
			mr_batch_give_back(engine->batch, "the transform writes, and events fail");
		return;
	}
	for (; !mr_subtransaction(transform_and_write, engine); rounds++)
	{
		if (rounds >= ROUNDS_MAX)
			mr_batch_give_back(engine->batch, "too many events of a batch fail");
		mr_write_forget(engine->batch);
		mr_transform_forget(engine->batch);
	}
}

/*
 * Too many events fail: nobody is blamed, the breaker opens. Counted over windows of events; after it has
 * opened, by the batch that probes.
 */
static void
check_failure_share(MrEngine *engine)
{
	const MrDefinition *definition = engine->program->definition;
	int events;
	int failed;

	if (isnan(definition->failure_share))
		return;
	for (int i = 0; i < engine->batch->nevents; i++)
	{
		const MrEvent *event = &engine->batch->events[i];

		if (!mr_event_is_tried(event) || (event->retry != NULL && !event->retry->parked))
			continue; /* to be counted when it is tried, was counted when it failed first */
		engine->window_failed += event->outcome.failure != NULL ? 1 : 0;
		engine->window_events++;
	}
	if (engine->window_events < definition->failure_window &&
		!mr_breaker_is_probing(&engine->pace->breaker))
		return;
	events = engine->window_events;
	failed = engine->window_failed;
	engine->window_events = engine->window_failed = 0;
	if (failed > definition->failure_share * events)
		ereport(ERROR, (errcode(MR_ERRCODE_FAILURE_SHARE),
						errmsg("%d of %d events failed, more than a share of %g", failed, events,
							   definition->failure_share),
						errhint("Fix the transform or the target, or raise failure_share with "
								"millrace.alter_pipeline().")));
}

/* An event of it, when it was tried last. A replay begins with all of statement_timeout again. */
static bool
has_timed_out(const MrBatch *batch)
{
	for (int i = 0; i < batch->nevents; i++)
		if (batch->events[i].retry != NULL && batch->events[i].retry->attempts > 0 &&
			mr_retry_failed_last_with(&batch->events[i], ERRCODE_QUERY_CANCELED))
			return true;
	return false;
}

/* A message that is to come in parts, see MrTorn: all of its documents wait for their first try. */
static bool
tear(MrEngine *engine)
{
	MrBatch *batch = engine->batch;
	MrTorn *torn = &engine->pace->torn;

	if (likely(!torn->due) || !mr_documents_of_one_message(batch) ||
		batch->events[0].partition != torn->partition || batch->events[0].offset != torn->offset)
		return false;
	torn->due = false;
	for (int i = 0; i < batch->nevents; i++)
		mr_outcome_park(&batch->events[i].outcome);
	return true;
}

/* Decode, transform, write, and what is to become of those that failed. */
void
mr_engine_process(MrEngine *engine)
{
	mr_documents_take_apart(engine->program->event->format, engine->batch);
	if (tear(engine))
		return;
	/* Held throughout: rows may refer to values out of line in tables the transform read. */
	PushActiveSnapshot(GetTransactionSnapshot());
	decode_events(engine);
	mr_limits_begin(&engine->batch->limits, engine->program->definition->statement_timeout_ms,
					has_timed_out(engine->batch), mr_clock_us());
	run_program(engine);
	PopActiveSnapshot();
	check_failure_share(engine);
	if (engine->order != NULL)
		mr_order_check_room(engine->order, engine->batch);
}
