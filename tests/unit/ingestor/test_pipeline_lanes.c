/* A lane in its pipeline: opening, assigning, staging, backpressure, and every way to lose it. */
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
nothing_is_opened_without_need(void **state)
{
	(void) state;
	fake_pq_script(NULL, 0);
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_int_equal(fake_pq.connections, 0);
}

static void
opens_assigns_and_stages(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	grant();
	turn_until(MR_LANE_ASSIGNING, 2);
	assert_string_equal(fake_pq.parameters, "stub|7|{1}");
	turn_until(MR_LANE_IDLE, 2);
	add(40);
	add(41);
	mr_lane_flush(lane);
	turn_until(MR_LANE_IDLE, 3);
	assert_int_equal(part->staged, 42);
	assert_true(mr_lane_is_drained(lane));
	assert_memory_equal(fake_pq.copied, "PGCOPY\n\377\r\n", 11);
	assert_memory_equal(fake_pq.copied + fake_pq.copied_len - 2, "\377\377", 2);
	assert_int_equal(lane->counts.events, 2);
}

static void
an_idle_lane_sends_when_the_queue_is_empty(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	open_and_assign();
	taken(true);
	add(40);
	assert_int_equal(lane->writer.state, MR_LANE_IDLE); /* more is coming: it grows */
	taken(false);
	assert_int_equal(lane->writer.state, MR_LANE_STAGING);
	turn_until(MR_LANE_IDLE, 3);
}

static void
fills_while_the_other_is_under_way(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"), STAGE(FAKE_STAGE, "", "20"));
	open_and_assign();
	taken(true);
	add(40);
	add(41);
	add(42); /* full: sent */
	assert_int_equal(lane->writer.state, MR_LANE_STAGING);
	assert_false(lane->blocked);
	add(43);
	add(44);
	add(45); /* full, and the first is under way */
	assert_true(lane->blocked);
	turn_until(MR_LANE_IDLE, 4);
	assert_false(lane->blocked);
	assert_true(asked.woken > 0);
	assert_int_equal(part->staged, 46);
}

static void
a_slow_socket_is_waited_for(void **state)
{
	static char payload[300000];

	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	open_and_assign();
	fake_pq.slow = true;
	add_payload(40, payload, sizeof(payload));
	mr_lane_flush(lane);
	turn_until(MR_LANE_IDLE, 3);
	assert_true(fake_pq.copied_len > sizeof(payload));
	assert_int_equal(part->staged, 41);
}

static void
a_full_segment_is_left(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "1000"),
		   {"SELECT millrace.lane_next", FAKE_NULL, NULL, NULL},
		   {"SELECT millrace.lane_next", FAKE_ROW, "x", "millrace.segment_7_2"},
		   STAGE(FAKE_STAGE, "", "10"));
	open_and_assign();
	add(40);
	mr_lane_flush(lane);
	turn_until(MR_LANE_IDLE, 5);
	assert_string_equal(lane->writer.segment, "millrace.segment_7_2");
	add(41);
	mr_lane_flush(lane);
	turn_until(MR_LANE_IDLE, 6);
	assert_int_equal(part->staged, 42);
}

static void
a_fenced_batch_asks_for_positions(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE_ERROR, "MR001", "10"));
	open_and_assign();
	add(40);
	mr_lane_flush(lane);
	turn_until(MR_LANE_IDLE, 3);
	assert_int_equal(fake_pq.connections, 1);
	assert_int_equal(asked.positions, 1);
	assert_true(part->confirming);
	assert_int_equal(part->staged, 40);
	assert_true(mr_lane_is_drained(lane)); /* nothing is sent again */
}

static void
another_server_means_a_new_lane(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, {"SELECT millrace.stage", FAKE_ERROR, "MR002", NULL}, OPEN, ASSIGN_AGAIN);
	open_and_assign();
	add(40);
	mr_lane_flush(lane);
	turn_until(MR_LANE_IDLE, 5);
	assert_int_equal(fake_pq.connections, 2);
	assert_int_equal(part->epoch, 6);
	assert_true(mr_lane_is_drained(lane));
}

static void
a_lost_commit_answer_is_never_sent_again(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE_CUT, "", "10"), OPEN, ASSIGN_AGAIN);
	open_and_assign();
	add(40);
	mr_lane_flush(lane);
	turn_until(MR_LANE_IDLE, 5);
	assert_int_equal(part->staged, 40);
	assert_int_equal(part->epoch, 6);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(asked.fetch_from[1], 40); /* fetched again from where the catalogue says */
	assert_true(mr_lane_is_drained(lane));
	assert_int_equal(lane->counts.losses, 1);
}

/* libpq found no memory for a chunk: without it the COPY would be of other rows than the trailer says. */
static void
a_chunk_that_is_not_taken_over_ends_the_batch(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"), OPEN, ASSIGN_AGAIN);
	open_and_assign();
	add(40);
	fake_pq.no_memory = true;
	mr_lane_flush(lane);
	turn_until(MR_LANE_IDLE, 5);
	assert_int_equal(part->staged, 40);
	assert_int_equal(lane->counts.losses, 1);
	assert_int_equal(asked.fetch_from[1], 40);
}

static void
a_connection_cut_while_assigning(void **state)
{
	(void) state;
	SCRIPT(OPEN, {"SELECT * FROM millrace.assign", FAKE_CUT, NULL, NULL}, OPEN, ASSIGN);
	grant();
	turn_until(MR_LANE_IDLE, 4);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
}

static void
revoked_while_assigning_is_left_alone(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN);
	grant();
	turn_until(MR_LANE_ASSIGNING, 2);
	take_back();
	turn_until(MR_LANE_IDLE, 2);
	assert_int_equal(part->state, MR_PARTITION_REVOKED);
}

/* Events taken under the old epoch must not end up in an entry of the new one. */
static void
what_was_taken_goes_before_a_new_assignment(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"), ASSIGN_AGAIN);
	open_and_assign();
	taken(true);
	add(40);
	take_back();
	grant();
	turn_until(MR_LANE_IDLE, 4);
	assert_int_equal(part->epoch, 6);
	assert_true(mr_lane_is_drained(lane));
}

static void
a_pooler_is_refused(void **state)
{
	(void) state;
	fake_pq_script(NULL, 0);
	fake_pq.pooled = true;
	grant();
	for (int i = 0; i < 100 && lane->counts.losses < 2; i++)
	{
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		usleep(1000);
	}
	assert_true(lane->counts.losses >= 2);
	assert_int_equal(fake_pq.at, 0);
}

static void
refused_connections_are_tried_again(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN);
	fake_pq.refuse = true;
	grant();
	for (int i = 0; i < 1000 && fake_pq.connections < 3; i++)
	{
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		usleep(500);
	}
	assert_true(fake_pq.connections >= 3);
	fake_pq.refuse = false;
	turn_until(MR_LANE_IDLE, 2);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
}

static void
reset_drops_what_was_open(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, OPEN, ASSIGN_AGAIN);
	open_and_assign();
	taken(true);
	add(40);
	mr_lane_reset(lane, "another incarnation");
	assert_int_equal(lane->writer.state, MR_LANE_CLOSED);
	assert_true(mr_lane_is_drained(lane));
	turn_until(MR_LANE_IDLE, 4);
	assert_int_equal(part->epoch, 6);
}

#define T(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(nothing_is_opened_without_need),
		T(opens_assigns_and_stages),
		T(an_idle_lane_sends_when_the_queue_is_empty),
		T(fills_while_the_other_is_under_way),
		T(a_slow_socket_is_waited_for),
		T(a_full_segment_is_left),
		T(a_fenced_batch_asks_for_positions),
		T(another_server_means_a_new_lane),
		T(a_lost_commit_answer_is_never_sent_again),
		T(a_chunk_that_is_not_taken_over_ends_the_batch),
		T(a_connection_cut_while_assigning),
		T(revoked_while_assigning_is_left_alone),
		T(what_was_taken_goes_before_a_new_assignment),
		T(a_pooler_is_refused),
		T(refused_connections_are_tried_again),
		T(reset_drops_what_was_open),
	};

	return cmocka_run_group_tests_name("ingestor/pipeline_lanes", tests, NULL, NULL);
}
