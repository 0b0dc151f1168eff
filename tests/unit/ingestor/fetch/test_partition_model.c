/*
 * The state machine of a partition under random sequences of events, late answers among them. A model of the world around
 * it (what the consumer fetches, what the lane has to assign, which questions wait) carries its effects out; after each
 * event the two must agree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ingestor/fetch/partition.h"

#define RUNS   2000
#define EVENTS 400

typedef enum Event
{
	GRANT,
	REVOKE,
	SEND_ASSIGN,
	ANSWER_ASSIGN,
	NO_ROW,
	MESSAGE,
	END,
	OUT_OF_RANGE,
	CORRUPT,
	HOLD,
	ROOM,
	STAGED,
	LOST,
	FORGOTTEN,
	FENCED,
	WATERMARKS,
	LOCATED,
	POSITIONS,
	EVENT_COUNT
} Event;

/* The world, as the effects have made it. */
typedef struct World
{
	MrFetchPartition part;
	MrMoment at;
	uint32_t seed;

	bool fetching;
	int64_t start; /* fetched from here on */
	int64_t from;  /* next offset the consumer hands out */
	bool wants_assign;
	bool assign_sent;
	MrPartitionAsks ask;
	int64_t epoch; /* of the catalogue */
	bool stopped;  /* in the catalogue */
	uint64_t last_seen_call;

	/* before the event */
	MrFetchPartition before;
	bool reassigned; /* the event was the answer of assign(), or of the rewind to a time */
} World;

static uint32_t
draw(World *w, uint32_t below)
{
	w->seed = w->seed * 1664525 + 1013904223;
	return (w->seed >> 8) % below;
}

/* The position may only pass what was fetched: else events between it and the start of the fetch would be lost. */
static void
check_pass(const World *w)
{
	assert_int_equal(w->part.state, MR_PARTITION_FLOWING);
	assert_true(w->fetching && w->start <= w->before.position);
}

static void
carry_out(World *w, const MrEffects *effects)
{
	if (effects->move || effects->take)
		check_pass(w);
	if (effects->fetch == MR_FETCH_STOP)
		w->fetching = false;
	else if (effects->fetch == MR_FETCH_FROM)
	{
		w->fetching = true;
		w->start = w->from = effects->fetch_from;
	}
	if (effects->assign == MR_ASSIGN_AT)
	{
		assert_true(effects->assign_at_ms >= w->at.now_ms);
		w->wants_assign = true;
		w->assign_sent = false;
	}
	else if (effects->assign == MR_ASSIGN_DROP)
		w->wants_assign = w->assign_sent = false;
	w->ask = effects->ask;
	if (effects->stop)
	{
		assert_int_equal(w->part.state, MR_PARTITION_STOPPED);
		assert_true(effects->error[0] != '\0' && effects->hint[0] != '\0');
		w->stopped = true;
	}
	if (effects->move)
	{
		assert_int_equal(effects->move_from, w->before.position);
		assert_int_equal(effects->move_to, w->part.position);
		assert_true(effects->move_to > effects->move_from);
		assert_int_equal(w->part.state, MR_PARTITION_FLOWING);
	}
}

static void
answer_assign(World *w, MrEffects *effects)
{
	MrAssignedRow row = {.partition = 1,
						 .stopped = w->stopped,
						 .epoch = ++w->epoch,
						 .next_offset = draw(w, 100),
						 .last_offset = -1,
						 .last_ts = 5,
						 .last_crc = 6,
						 .seek_ts = draw(w, 4) == 0 ? 777 : INT64_MIN};

	if (draw(w, 2) == 0)
		row.last_offset = (int64_t) draw(w, 100);
	w->reassigned = w->part.state == MR_PARTITION_ASSIGNING;
	if (w->assign_sent)
		w->wants_assign = w->assign_sent = false;
	mr_partition_assigned(&w->part, &w->at, &row, effects);
}

static void
message(World *w, MrEffects *effects)
{
	int64_t offset = w->from + (draw(w, 8) == 0);

	if (!w->fetching)
		return; /* the consumer drops it */
	w->from = offset + 1;
	if (mr_partition_wants(&w->part, offset))
	{
		check_pass(w);
		mr_partition_take(&w->part, offset);
		return;
	}
	mr_partition_check(&w->part, &w->at, offset, 5, 6 + (draw(w, 10) == 0), effects);
	if (effects->take)
	{
		assert_true(offset >= w->part.position);
		mr_partition_take(&w->part, offset);
	}
}

/* One in four answers is late: to a question before the last. */
static uint32_t
question(World *w)
{
	return w->part.question - (draw(w, 4) == 0);
}

static void
positions(World *w, MrEffects *effects)
{
	bool late = draw(w, 4) == 0;
	MrPositionRow row = {.partition = 1,
						 .epoch = w->part.epoch + (draw(w, 5) == 0),
						 .next_offset = w->part.staged,
						 .stopped = draw(w, 8) == 0};
	uint64_t call = late ? w->part.known_call : ++w->at.positions_call;

	if (!late && w->part.state == MR_PARTITION_STOPPED && !row.stopped)
		w->stopped = false;
	mr_partition_seen(&w->part, &w->at, call, &row, effects);
	if (late)
		assert_memory_equal(&w->part, &w->before, sizeof(w->part));
	if (w->part.state == MR_PARTITION_STOPPED)
		w->stopped = true;
}

static void
resolve(World *w, Event event, MrEffects *effects)
{
	uint32_t asked = question(w);
	bool ok = draw(w, 4) != 0;

	w->reassigned = event == LOCATED;
	if (event == WATERMARKS)
		mr_partition_watermarks(&w->part, &w->at, asked, ok, draw(w, 30), 30 + draw(w, 100),
								effects);
	else
		mr_partition_located(&w->part, &w->at, asked, ok, draw(w, 100), effects);
	if (asked != w->before.question || w->before.state != MR_PARTITION_RESOLVING)
		assert_memory_equal(&w->part, &w->before, sizeof(w->part));
}

static void
send_assign(World *w)
{
	if (!w->wants_assign || w->assign_sent)
		return;
	assert_int_equal(w->part.state, MR_PARTITION_WAITING);
	mr_partition_assign_sent(&w->part);
	w->assign_sent = true;
}

/* The question to the server where to begin: it is sent, answered, or finds no row of the partition. */
static void
assign(World *w, Event event, MrEffects *effects)
{
	if (event == SEND_ASSIGN)
		send_assign(w);
	else if (event == ANSWER_ASSIGN)
		answer_assign(w, effects);
	else if (w->assign_sent)
		mr_partition_reassign(&w->part, &w->at, 1000, effects);
}

static void
set_held(World *w, bool held, MrEffects *effects)
{
	w->at.lane_held = held;
	if (held)
		mr_partition_hold(&w->part, effects);
	else
		mr_partition_release(&w->part, effects);
}

static void
happen(World *w, Event event, MrEffects *effects)
{
	MrFetchPartition *part = &w->part;

	switch (event)
	{
		case GRANT:
			mr_partition_granted(part, &w->at, effects);
			break;
		case REVOKE:
			mr_partition_revoked(part, effects);
			assert_int_equal(part->state, MR_PARTITION_REVOKED);
			break;
		case SEND_ASSIGN:
		case ANSWER_ASSIGN:
		case NO_ROW:
			assign(w, event, effects);
			break;
		case MESSAGE:
			message(w, effects);
			break;
		case END:
			if (w->fetching)
				mr_partition_end_seen(part, &w->at, w->from + draw(w, 3), effects);
			break;
		case OUT_OF_RANGE:
			mr_partition_out_of_range(part, effects);
			break;
		case CORRUPT:
			mr_partition_corrupt(part, &w->at, "CRC", effects);
			break;
		case HOLD:
		case ROOM:
			set_held(w, event == HOLD, effects);
			break;
		case STAGED:
			mr_partition_staged(part, part->epoch - (draw(w, 4) == 0), part->position);
			break;
		case LOST:
			mr_partition_reassign(part, &w->at, 0, effects);
			break;
		case FORGOTTEN:
			if (part->state == MR_PARTITION_STOPPED)
				w->stopped = false; /* it has a new row then */
			mr_partition_forgotten(part, &w->at, effects);
			break;
		case FENCED:
			mr_partition_confirm(part, &w->at, effects);
			break;
		case WATERMARKS:
		case LOCATED:
			resolve(w, event, effects);
			break;
		case POSITIONS:
			positions(w, effects);
			break;
		case EVENT_COUNT:
			break;
	}
}

/* What must hold between any two events. */
static void
check(const World *w)
{
	const MrFetchPartition *part = &w->part;
	MrFetchState state = part->state;

	/* fetched exactly while messages mean something */
	assert_int_equal(w->fetching, state == MR_PARTITION_CHECKING || state == MR_PARTITION_FLOWING);
	/* a flowing partition misses nothing: the consumer is not past the position */
	if (state == MR_PARTITION_FLOWING)
		assert_true(w->from <= part->position);
	/* whoever waits will be assigned; a broken chain of events would leave it waiting for ever */
	assert_int_equal(w->wants_assign && !w->assign_sent, state == MR_PARTITION_WAITING);
	assert_int_equal(w->wants_assign && w->assign_sent, state == MR_PARTITION_ASSIGNING);
	/* only a new assignment moves it back */
	if (!w->reassigned)
	{
		assert_true(part->position >= w->before.position);
		assert_int_equal(part->epoch, w->before.epoch);
	}
	assert_true(part->staged <= part->position || !mr_partition_is_assigned(part));
	/* held only on a lane that is */
	assert_true(state != MR_PARTITION_HELD || w->at.lane_held);
	/* a question is asked exactly when the state that waits for its answer is entered */
	if (w->ask != MR_PARTITION_ASKS_NOTHING)
		assert_int_equal(state, MR_PARTITION_RESOLVING);
	else if (state == MR_PARTITION_RESOLVING)
		assert_int_equal(part->question, w->before.question);
	if (part->confirming)
		assert_int_equal(state, MR_PARTITION_WAITING);
}

static void
run(uint32_t seed, bool *reached)
{
	World w = {.seed = seed, .at = {.now_ms = 1000}, .epoch = 10};

	mr_partition_init(&w.part, "model", 1, NULL, 1);
	for (int i = 0; i < EVENTS; i++)
	{
		MrEffects effects = {0};

		w.before = w.part;
		w.reassigned = false;
		w.at.now_ms += draw(&w, 100);
		w.at.random = draw(&w, 1 << 20);
		/* half of them let it flow, so that every state is reached often */
		happen(&w,
			   draw(&w, 2)
				   ? (Event) draw(&w, EVENT_COUNT)
				   : (const Event[]){GRANT, SEND_ASSIGN, ANSWER_ASSIGN, MESSAGE, ROOM}[draw(&w, 5)],
			   &effects);
		carry_out(&w, &effects);
		check(&w);
		reached[w.part.state] = true;
	}
}

static void
random_sequences_keep_what_must_hold(void **state)
{
	bool reached[MR_PARTITION_STATES] = {false};

	(void) state;
	for (uint32_t seed = 1; seed <= RUNS; seed++)
		run(seed, reached);
	for (int i = 0; i < MR_PARTITION_STATES; i++)
		if (!reached[i])
			fail_msg("no sequence reached %s", mr_partition_state_name((MrFetchState) i));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_sequences_keep_what_must_hold),
	};

	return cmocka_run_group_tests_name("ingestor/fetch/partition_model", tests, NULL, NULL);
}
