/* A pipeline: what passes between its parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/eventloop.h"
#include "pipeline_world.h"

static void
blocked_for_long_holds_the_partitions(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"), STAGE(FAKE_STAGE, "", "20"));
	open_and_assign();
	taken(true);
	for (int i = 0; i < 6; i++)
		add(40 + i);
	assert_true(lane->blocked);
	mr_pipeline_every(pl);
	assert_false(pl->lanes[1].held);
	lane->blocked_since_ms -= 2000;
	mr_pipeline_every(pl);
	assert_true(pl->lanes[1].held);
	assert_int_equal(part->state, MR_PARTITION_HELD);
	turn_until(MR_LANE_IDLE, 4);
	assert_false(pl->lanes[1].held);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(asked.fetch_from[1], 46);
}

static void
partitions_without_a_row_wait(void **state)
{
	(void) state;
	SCRIPT(OPEN, {"SELECT * FROM millrace.assign", FAKE_ROW, "", ""});
	grant();
	turn_until(MR_LANE_IDLE, 2);
	assert_int_equal(fake_pq.connections, 1);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
	assert_true(lane->requests[0].due_ms > mr_now_ms());
	assert_int_equal(asked.starts, 1);
}

/* A poll asks for the start of the topic and for the pipelines, and the first answer may be late. */
static void
questions_do_not_keep_a_fatal_consumer(void **state)
{
	(void) state;
	pl->known = 1;
	asked.fatal = true;
	grant();
	mr_pipeline_poll(pl);
	assert_int_equal(asked.starts, 0);
	asked.fatal = false;
	mr_pipeline_poll(pl);
	assert_int_equal(asked.starts, 1);
}

static void
unknown_partitions_are_not_assigned(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN);
	pl->known = 1;
	grant();
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_int_equal(fake_pq.connections, 0);
	assert_int_equal(asked.starts, 1);
	mr_pipeline_answers.known(pl, 2);
	turn_until(MR_LANE_IDLE, 2);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
}

static MrServedRow list_row;

/* What a listing says of the pipeline. */
static void
list(int partitions)
{
	const MrServedRow row = {.pipeline = "stub",
							 .topic = "t",
							 .group_id = "g",
							 .lanes = 2,
							 .partitions = partitions,
							 .start_at = "earliest",
							 .incarnation = 99};

	assert_true(mr_pipeline_update(pl, &row));
}

/* A pipeline of several topics, two of whose partitions have numbers. */
static void
begin_several(void)
{
	const MrServedRow row = {.pipeline = "stub",
							 .topic = "a,b",
							 .group_id = "g",
							 .lanes = 2,
							 .partitions = 2,
							 .start_at = "earliest",
							 .incarnation = 99,
							 .several = true,
							 .topics = "a,b",
							 .late_topics = ""};
	const MrPipelineSetup with = pl->setup;

	mr_pipeline_remove(pl);
	mr_pipeline_free(pl);
	pl = mr_pipeline_new(&with, &row);
	lane = pl->lanes[1].stage;
	lane->backoff = (MrBackoff){.min_ms = 2, .max_ms = 4};
	for (int i = 0; i < 2; i++)
		mr_pipeline_answers.number(pl, &(MrNumberRow){i, i == 0 ? "a" : "b", 0});
	mr_pipeline_answers.numbers_ended(pl);
	assert_true(mr_pipeline_update(pl, &row));
	list_row = row;
}

/* The catalogue has numbered its partitions again: nothing is staged for the wrong one, and the pipeline is made again. */
static void
a_number_that_means_another_partition(void **state)
{
	(void) state;
	SCRIPT(OPEN, {"SELECT * FROM millrace.assign", FAKE_ROW,
				  ASSIGN_COLUMNS " topic topic_partition", "1 5 40 - - - active - a 0"});
	begin_several();
	grant();
	turn_until(MR_LANE_IDLE, 2);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
	assert_false(asked.fetch[1]);
	assert_false(mr_pipeline_update(pl, &list_row));
}

static void
a_number_that_means_the_same(void **state)
{
	(void) state;
	SCRIPT(OPEN, {"SELECT * FROM millrace.assign", FAKE_ROW,
				  ASSIGN_COLUMNS " topic topic_partition", "1 5 40 - - - active - b 0"});
	begin_several();
	grant();
	turn_until(MR_LANE_IDLE, 2);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_string_equal(part->place, "topic => 'b', partition => 0");
	assert_true(mr_pipeline_update(pl, &list_row));
	/* fewer than there were */
	list_row.partitions = 1;
	assert_false(mr_pipeline_update(pl, &list_row));
}

/* The database went back to before the topic grew: what it does not know any more is added, then assigned. */
static void
fewer_partitions_are_added_again(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, ASSIGN_AGAIN);
	open_and_assign();
	list(1);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
	assert_false(asked.fetch[1]);
	assert_int_equal(lane->request_count, 0);
	assert_int_equal(asked.starts, 1);
	assert_int_equal(asked.starts_from, 1);
	mr_pipeline_answers.known(pl, 2);
	turn_until(MR_LANE_IDLE, 3);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(part->epoch, 6);
	list(2);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
}

/* Also back to before its first start, and partitions that wait for a verb. */
static void
a_stopped_partition_is_added_again(void **state)
{
	(void) state;
	SCRIPT(OPEN,
		   {"SELECT * FROM millrace.assign", FAKE_ROW, ASSIGN_COLUMNS, "1 - 40 - - - stopped -"},
		   ASSIGN_AGAIN);
	grant();
	turn_until(MR_LANE_IDLE, 2);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	list(0);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
	assert_int_equal(asked.starts_from, 0);
	mr_pipeline_answers.known(pl, 4);
	turn_until(MR_LANE_IDLE, 3);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
}

/* An assignment that was due, or is under way, when the listing comes. */
static void
a_forgotten_partition_is_not_assigned(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, ASSIGN_AGAIN);
	grant();
	turn_until(MR_LANE_ASSIGNING, 2);
	list(1);
	turn_until(MR_LANE_IDLE, 2);
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
	assert_int_equal(fake_pq.at, 2);
	mr_pipeline_answers.known(pl, 2);
	turn_until(MR_LANE_IDLE, 3);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
}

/* A blocked lane keeps the queue from being read; one that is held does not, so that others go on. */
static void
a_blocked_lane_blocks_the_consumer_until_it_is_held(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"), STAGE(FAKE_STAGE, "", "20"));
	open_and_assign();
	taken(true);
	for (int i = 0; i < 6; i++)
		add(40 + i);
	assert_true(asked.blocked);
	lane->blocked_since_ms -= 2000;
	mr_pipeline_every(pl);
	assert_false(asked.blocked);
	turn_until(MR_LANE_IDLE, 4);
	assert_false(asked.blocked);
}

static void
draining_assigns_and_fetches_nothing(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE_CUT, "", "10"));
	open_and_assign();
	taken(true);
	add(40);
	mr_pipeline_drain(pl);
	assert_false(asked.fetch[1]);
	turn_until(MR_LANE_CLOSED, 3);
	for (int i = 0; i < 100; i++)
	{
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		usleep(100);
	}
	assert_int_equal(fake_pq.connections, 1);
	assert_false(asked.fetch[1]);
	assert_true(mr_pipeline_is_flushed(pl));
}

/* A rewind to a time is resolved twice, as the lane was lost meanwhile: answers to the first time change nothing. */
static void
late_answers_of_a_rewind_change_nothing(void **state)
{
	MrQuestion first;
	MrReply late;

	(void) state;
	SCRIPT(OPEN,
		   {"SELECT * FROM millrace.assign", FAKE_ROW, ASSIGN_COLUMNS, "1 5 40 39 - - active 777"},
		   OPEN,
		   {"SELECT * FROM millrace.assign", FAKE_ROW, ASSIGN_COLUMNS, "1 6 40 39 - - active 777"});
	grant();
	turn_until(MR_LANE_IDLE, 2);
	assert_int_equal(part->state, MR_PARTITION_RESOLVING);
	assert_int_equal(asked.question.time, 777);
	first = asked.question;
	first.ok = true;
	first.low = 12;
	first.answer(&first);
	late = asked.position_set;
	assert_non_null(late.answer);
	mr_lane_reset(lane, "test");
	turn_until(MR_LANE_IDLE, 4);
	assert_int_equal(part->state, MR_PARTITION_RESOLVING);
	late.answer(late.owner, NULL, late.tag);
	assert_int_equal(part->state, MR_PARTITION_RESOLVING);
	asked.position_set.answer = NULL;
	pl->calls.jobs++; /* the question is answered twice here */
	pl->calls.questions++;
	first.answer(&first);
	assert_null(asked.position_set.answer);
	asked.question.answer(&asked.question); /* not ok: the broker is away */
	assert_int_equal(part->state, MR_PARTITION_WAITING);
	assert_int_equal(pl->calls.jobs, 0);
}

#define T(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(blocked_for_long_holds_the_partitions),
		T(partitions_without_a_row_wait),
		T(questions_do_not_keep_a_fatal_consumer),
		T(unknown_partitions_are_not_assigned),
		T(a_number_that_means_another_partition),
		T(a_number_that_means_the_same),
		T(fewer_partitions_are_added_again),
		T(a_stopped_partition_is_added_again),
		T(a_forgotten_partition_is_not_assigned),
		T(a_blocked_lane_blocks_the_consumer_until_it_is_held),
		T(draining_assigns_and_fetches_nothing),
		T(late_answers_of_a_rewind_change_nothing),
	};

	return cmocka_run_group_tests_name("ingestor/pipeline", tests, NULL, NULL);
}
