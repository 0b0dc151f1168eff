/*
 * sources.c: see sources.h. Runs in workers.
 */
#include "supervise/sources.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "server/clock.h"
#include "server/xact.h"
#include "supervise/seat.h"
#include "supervise/trouble.h"

#define LANES_FIRST 4

static bool
is_closed(const MrSource *source)
{
	return source->pace.breaker.state == MR_BREAKER_CLOSED;
}

static void
clear(MrSource *source)
{
	memset(source, 0, sizeof(*source));
	mr_pace_init(&source->pace);
}

static void
inherit(MrSource *source, int64 since)
{
	if (!is_closed(source))
		return;
	mr_breaker_inherit(&source->pace.breaker);
	source->since = since;
}

void
mr_sources_begin(MrSources *sources, MrEngine *engine)
{
	sources->engine = engine;
	sources->nlanes = 0;
	sources->max_lanes = LANES_FIRST;
	sources->lanes =
		MemoryContextAlloc(TopMemoryContext, sources->max_lanes * sizeof(*sources->lanes));
	clear(&sources->common);
	clear(&sources->retries);
	if (mr_trouble_begin(MR_BREAKER_OF_LANES))
		inherit(&sources->common, mr_clock_us());
	if (mr_seat->number == 0 && mr_trouble_begin(MR_BREAKER_OF_RETRIES))
		inherit(&sources->retries, mr_clock_us());
}

void
mr_sources_free(MrSources *sources)
{
	pfree(sources->lanes);
}

/* The lane is not this worker's any more. Nothing shows that its trouble is over. */
static void
leave(MrSources *sources, MrSource *source)
{
	if (!is_closed(source))
		inherit(&sources->common, source->since);
	*source = sources->lanes[--sources->nlanes];
}

static MrSource *
source_of(MrSources *sources, const MrLane *lane)
{
	for (int i = 0; i < sources->nlanes; i++)
		if (sources->lanes[i].lane == lane && sources->lanes[i].lane_id == lane->lane_id)
			return &sources->lanes[i];
	return NULL;
}

static MrSource *
add(MrSources *sources, MrLane *lane)
{
	MrSource *source;

	if (sources->nlanes == sources->max_lanes)
		return NULL;
	source = &sources->lanes[sources->nlanes++];
	clear(source);
	source->lane = lane;
	source->lane_id = lane->lane_id;
	if (!is_closed(&sources->common))
		inherit(source, mr_clock_us());
	return source;
}

static bool
is_mine(const MrLane *lane, int workers)
{
	return lane->database == MyDatabaseId && lane->pipeline_id == mr_seat->pipeline_id &&
		   lane->number % workers == mr_seat->number;
}

/* Those that are this worker's no more leave first: a lane that takes their place takes over their trouble. The lock is held. */
static void
leave_lost(MrSources *sources, int workers)
{
	for (int i = sources->nlanes - 1; i >= 0; i--)
	{
		MrSource *source = &sources->lanes[i];

		if (!is_mine(source->lane, workers) || source->lane->lane_id != source->lane_id)
			leave(sources, source);
	}
}

/* False: there is no room for all. */
static bool
find(MrSources *sources, int workers)
{
	bool all = true;

	LWLockAcquire(mr_shared->lock, LW_EXCLUSIVE);
	leave_lost(sources, workers);
	for (int i = 0; i < mr_shared->lanes_used; i++)
	{
		MrLane *lane = mr_lane_slot(i);
		MrSource *source;

		if (!is_mine(lane, workers))
			continue;
		lane->worker_latch = MyLatch;
		source = source_of(sources, lane);
		if (source == NULL)
			source = add(sources, lane);
		all = all && source != NULL;
		if (source != NULL)
			source->pending =
				pg_atomic_read_u64(&lane->staged) != pg_atomic_read_u64(&lane->consumed);
	}
	LWLockRelease(mr_shared->lock);
	return all;
}

static void
settle(MrSource *source)
{
	(void) mr_breaker_try(&source->pace.breaker);
	(void) mr_breaker_settled(&source->pace.breaker);
}

/* Nothing is left to probe with, and events of others have passed since: its own may have come to them. */
static void
close_if_over(MrSource *source, int64 now)
{
	const MrBreaker *breaker = &source->pace.breaker;

	if (is_closed(source) || source->pending || mr_breaker_wait_us(breaker, now) > 0)
		return;
	if (mr_breaker_others_pass(breaker) || mr_seat_others_passed(source->since))
		settle(source);
}

void
mr_sources_find(MrSources *sources, int workers)
{
	int64 now = mr_clock_us();

	while (!find(sources, workers))
	{
		sources->max_lanes *= 2;
		sources->lanes = repalloc(sources->lanes, sources->max_lanes * sizeof(*sources->lanes));
	}
	for (int i = 0; i < sources->nlanes; i++)
		close_if_over(&sources->lanes[i], now);
	close_if_over(&sources->common, now);
	if (sources->engine->lone.count > 0 && mr_seat_others_passed(sources->lone_since))
		mr_lone_passed(&sources->engine->lone, sources->engine->lone.stage);
}

static void
probe(MrSource *source, int64 now)
{
	if (mr_breaker_wait_us(&source->pace.breaker, now) == 0)
		(void) mr_breaker_try(&source->pace.breaker);
}

void
mr_sources_probe(MrSources *sources, int64 now)
{
	for (int i = 0; i < sources->nlanes; i++)
		probe(&sources->lanes[i], now);
	probe(&sources->common, now);
	mr_sources_show(sources);
}

bool
mr_sources_are_ready(const MrSources *sources, int64 now)
{
	for (int i = 0; i < sources->nlanes; i++)
		if (sources->lanes[i].pending &&
			mr_breaker_wait_us(&sources->lanes[i].pace.breaker, now) == 0)
			return true;
	return false;
}

bool
mr_sources_allow_retries(MrSources *sources, int64 now)
{
	bool probing = false;

	for (int i = -1; i < sources->nlanes; i++)
	{
		const MrSource *source = i < 0 ? &sources->common : &sources->lanes[i];
		const MrBreaker *breaker = &source->pace.breaker;

		if (mr_breaker_others_pass(breaker))
			continue;
		if (mr_breaker_wait_us(breaker, now) > 0)
			return false;
		probing = probing || mr_breaker_is_probing(breaker);
	}
	if (probing)
		inherit(&sources->retries, now);
	(void) mr_breaker_try(&sources->retries.pace.breaker);
	return true;
}

int64
mr_sources_wake_at(const MrSources *sources, int64 now)
{
	int64 wait = PG_INT64_MAX;

	for (int i = -1; i < sources->nlanes; i++)
	{
		const MrSource *source = i < 0 ? &sources->common : &sources->lanes[i];
		int64 its = mr_breaker_wait_us(&source->pace.breaker, now);

		if (its > 0)
			wait = Min(wait, its);
	}
	return wait == PG_INT64_MAX ? wait : now + wait;
}

static bool
is_troubled(const MrSource *source)
{
	return source->pace.breaker.failures > 0 || mr_pace_is_reduced(&source->pace);
}

bool
mr_sources_are_troubled(const MrSources *sources)
{
	bool troubled = is_troubled(&sources->common) || is_troubled(&sources->retries);

	for (int i = 0; i < sources->nlanes && !troubled; i++)
		troubled = is_troubled(&sources->lanes[i]);
	return troubled;
}

bool
mr_sources_hurry(MrSources *sources)
{
	if (mr_trouble_is_due(MR_BREAKER_OF_LANES))
	{
		for (int i = 0; i < sources->nlanes; i++)
			mr_breaker_hurry(&sources->lanes[i].pace.breaker);
		mr_breaker_hurry(&sources->common.pace.breaker);
	}
	if (!mr_trouble_is_due(MR_BREAKER_OF_RETRIES))
		return false;
	mr_breaker_hurry(&sources->retries.pace.breaker);
	return true;
}

static MrBreakerKind
kind_of(const MrSources *sources, const MrSource *source)
{
	return source == &sources->retries ? MR_BREAKER_OF_RETRIES : MR_BREAKER_OF_LANES;
}

typedef struct Remedy
{
	MrEngine *engine;
	const ErrorData *error;
	char *command;
} Remedy;

static void
find_remedy(void *arg)
{
	Remedy *remedy = arg;

	remedy->command = mr_engine_remedy(remedy->engine, remedy->error);
}

void
mr_sources_met(MrSources *sources, MrSource *source, const ErrorData *error)
{
	Remedy remedy = {.engine = sources->engine, .error = error};

	if (is_closed(source))
		source->since = mr_clock_us();
	(void) mr_xact_guard(find_remedy, &remedy);
	mr_trouble_met(kind_of(sources, source), &source->pace.breaker, error, remedy.command);
	mr_sources_show(sources);
	if (remedy.command != NULL)
		pfree(remedy.command);
}

/* An event of the source got past the write: the trouble of the others is their own, or it is over. */
static void
note_passed(MrSources *sources, const MrSource *passed, int64 began_at)
{
	MrSource *retries = &sources->retries;

	mr_seat_passed(began_at);
	if (passed == retries)
		return;
	for (int i = -1; i < sources->nlanes; i++)
	{
		MrSource *source = i < 0 ? &sources->common : &sources->lanes[i];

		if (source != passed)
			mr_breaker_others_passed(&source->pace.breaker);
	}
	mr_breaker_others_passed(&retries->pace.breaker);
}

static void
count_lone(MrSources *sources)
{
	MrEngine *engine = sources->engine;
	const MrBatch *batch = engine->batch;

	for (MrStage stage = MR_STAGE_TRANSFORM; stage < MR_STAGES; stage++)
		if (batch->passed[stage])
			mr_lone_passed(&engine->lone, stage);
	if (batch->nlone != 1)
		return;
	mr_lone_failed(&engine->lone, batch->lone->stage, batch->lone->sqlstate);
	if (engine->lone.count == 1)
		sources->lone_since = mr_clock_us();
}

/* A retry that passes ends the trouble of lanes that have nothing to probe with. */
void
mr_sources_settled(MrSources *sources, MrSource *source, int64 began_at)
{
	settle(source);
	if (source == &sources->retries)
		for (int i = 0; i < sources->nlanes; i++)
			if (!sources->lanes[i].pending &&
				mr_breaker_is_probing(&sources->lanes[i].pace.breaker))
				settle(&sources->lanes[i]);
	if (mr_breaker_is_probing(&sources->common.pace.breaker))
		settle(&sources->common);
	if (sources->engine->batch->passed[MR_STAGE_WRITE])
		note_passed(sources, source, began_at);
	count_lone(sources);
	mr_sources_show(sources);
}

void
mr_sources_have_no_retries(MrSources *sources)
{
	if (!is_closed(&sources->retries))
		settle(&sources->retries);
	mr_sources_show(sources);
}

/* The worst state of lanes and what is common; *wait_us: until the first probe of those that are open. */
static MrBreakerState
sum_up(const MrSources *sources, int64 *wait_us)
{
	MrBreakerState state = MR_BREAKER_CLOSED;
	int64 now = mr_clock_us();

	*wait_us = PG_INT64_MAX;
	for (int i = -1; i < sources->nlanes; i++)
	{
		const MrSource *source = i < 0 ? &sources->common : &sources->lanes[i];
		const MrBreaker *breaker = &source->pace.breaker;

		if (breaker->state == MR_BREAKER_OPEN)
		{
			state = MR_BREAKER_OPEN;
			*wait_us = Min(*wait_us, mr_breaker_wait_us(breaker, now));
		}
		else if (breaker->state == MR_BREAKER_HALF_OPEN && state == MR_BREAKER_CLOSED)
			state = MR_BREAKER_HALF_OPEN;
	}
	return state;
}

void
mr_sources_show(MrSources *sources)
{
	const MrBreaker *retries = &sources->retries.pace.breaker;
	int64 wait_us;
	MrBreakerState state = sum_up(sources, &wait_us);

	mr_trouble_show(MR_BREAKER_OF_LANES, state, wait_us);
	if (mr_seat->number == 0)
		mr_trouble_show(MR_BREAKER_OF_RETRIES, retries->state,
						mr_breaker_wait_us(retries, mr_clock_us()));
}
