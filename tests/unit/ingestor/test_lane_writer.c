/* A lane against a scripted server: opening, assigning, staging, backpressure, and every way to lose it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/eventloop.h"
#include "common/log.h"
#include "fake_pq.h"
#include "stub_pipeline.h"

#define OPEN_COLUMNS   "lane incarnation segment segment_bytes"
#define OPEN_VALUES    "7 99 millrace.segment_7_1 1000"
#define ASSIGN_COLUMNS "partition epoch next_offset last_offset last_ts last_crc state seek_ts"
#define OPEN                                                                                       \
	{                                                                                              \
		"SELECT * FROM millrace.lane_open", FAKE_ROW, OPEN_COLUMNS, OPEN_VALUES                    \
	}
#define ASSIGN                                                                                     \
	{                                                                                              \
		"SELECT * FROM millrace.assign", FAKE_ROW, ASSIGN_COLUMNS, "1 5 40 - - - active -"         \
	}
#define ASSIGN_AGAIN                                                                               \
	{                                                                                              \
		"SELECT * FROM millrace.assign", FAKE_ROW, ASSIGN_COLUMNS, "1 6 40 - - - active -"         \
	}
#define STAGE(answer_, columns_, bytes_)                                                           \
	{                                                                                              \
		"SELECT millrace.stage(7, 99, '{1}', '{", answer_, columns_, bytes_                        \
	}
#define SCRIPT(...)                                                                                \
	fake_pq_script((const FakeStep[]){__VA_ARGS__},                                                \
				   (int) (sizeof((const FakeStep[]){__VA_ARGS__}) / sizeof(FakeStep)))

static struct event_base *base;
static MrPartition *const part = &stub.parts[1];

static int
setup(void **state)
{
	(void) state;
	mr_log_setup("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
	base = event_base_new();
	stub_reset();
	stub.lane = mr_lane_new(&stub.pl, 1, base, "");
	stub.lane->backoff = (MrBackoff){.min_ms = 2, .max_ms = 4};
	part->lane = stub.lane;
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	mr_lane_free(stub.lane);
	event_base_free(base);
	return 0;
}

/* Turns the loop until the lane is in the state (and the script at the step), or fails. */
static void
turn_until(MrLaneState state, int step)
{
	for (int i = 0; i < 2000; i++)
	{
		if (stub.lane->state == state && fake_pq.at == step)
			return;
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		usleep(500);
	}
	fail_msg("state %s, step %d", mr_lane_state_name(stub.lane->state), fake_pq.at);
}

static void
open_and_assign(void)
{
	mr_partition_granted(part);
	mr_lane_poke(stub.lane);
	turn_until(MR_LANE_IDLE, 2);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(part->epoch, 5);
	assert_int_equal(part->position, 40);
}

static void
add(int64_t offset)
{
	MrRow row = {.offset = offset, .kafka_ts = 1, .partition = 1, .payload = "p", .payload_len = 1};

	mr_lane_add(stub.lane, part, &row, NULL);
}

static void
nothing_is_opened_without_need(void **state)
{
	(void) state;
	fake_pq_script(NULL, 0);
	mr_lane_poke(stub.lane);
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_int_equal(fake_pq.connections, 0);
}

static void
opens_assigns_and_stages(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	mr_partition_granted(part);
	mr_lane_poke(stub.lane);
	turn_until(MR_LANE_ASSIGNING, 2);
	assert_string_equal(fake_pq.parameters, "stub|7|{1}");
	turn_until(MR_LANE_IDLE, 2);
	add(40);
	add(41);
	mr_lane_flush(stub.lane);
	turn_until(MR_LANE_IDLE, 3);
	assert_int_equal(stub.staged[1], 42);
	assert_true(mr_lane_is_drained(stub.lane));
	assert_memory_equal(fake_pq.copied, "PGCOPY\n\377\r\n", 11);
	assert_memory_equal(fake_pq.copied + fake_pq.copied_len - 2, "\377\377", 2);
	assert_int_equal(stub.lane->events_staged, 2);
}

static void
an_idle_lane_sends_when_the_queue_is_empty(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	open_and_assign();
	stub.taking = true;
	add(40);
	mr_lane_pump(stub.lane);
	assert_int_equal(stub.lane->state, MR_LANE_IDLE); /* more is coming: it grows */
	stub.taking = false;
	mr_lane_pump(stub.lane);
	assert_int_equal(stub.lane->state, MR_LANE_STAGING);
	turn_until(MR_LANE_IDLE, 3);
}

static void
fills_while_the_other_is_under_way(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"), STAGE(FAKE_STAGE, "", "20"));
	open_and_assign();
	stub.taking = true;
	add(40);
	add(41);
	add(42); /* full: sent */
	assert_int_equal(stub.lane->state, MR_LANE_STAGING);
	assert_false(stub.lane->blocked);
	add(43);
	add(44);
	add(45); /* full, and the first is under way */
	assert_true(stub.lane->blocked);
	turn_until(MR_LANE_IDLE, 4);
	assert_false(stub.lane->blocked);
	assert_true(stub.woken > 0);
	assert_int_equal(stub.staged[1], 46);
}

static void
a_slow_socket_is_waited_for(void **state)
{
	static char payload[300000];
	MrRow row = {.offset = 40, .partition = 1, .payload = payload, .payload_len = sizeof(payload)};

	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	open_and_assign();
	fake_pq.slow = true;
	mr_lane_add(stub.lane, part, &row, NULL);
	mr_lane_flush(stub.lane);
	turn_until(MR_LANE_IDLE, 3);
	assert_true(fake_pq.copied_len > sizeof(payload));
	assert_int_equal(stub.staged[1], 41);
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
	mr_lane_flush(stub.lane);
	turn_until(MR_LANE_IDLE, 5);
	assert_string_equal(stub.lane->segment, "millrace.segment_7_2");
	add(41);
	mr_lane_flush(stub.lane);
	turn_until(MR_LANE_IDLE, 6);
	assert_int_equal(stub.staged[1], 42);
}

static void
blocked_for_long_holds_the_partitions(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"), STAGE(FAKE_STAGE, "", "20"));
	open_and_assign();
	stub.taking = true;
	for (int i = 0; i < 6; i++)
		add(40 + i);
	assert_true(stub.lane->blocked);
	mr_lane_check_blocked(stub.lane, 1000);
	assert_false(stub.lane->held);
	stub.lane->blocked_since_ms -= 2000;
	mr_lane_check_blocked(stub.lane, 1000);
	assert_true(stub.lane->held);
	assert_int_equal(part->state, MR_PARTITION_HELD);
	turn_until(MR_LANE_IDLE, 4);
	assert_false(stub.lane->held);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(stub.fetch_from[1], 46);
}

static void
a_fenced_batch_asks_for_positions(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE_ERROR, "MR001", "10"));
	open_and_assign();
	add(40);
	mr_lane_flush(stub.lane);
	turn_until(MR_LANE_IDLE, 3);
	assert_int_equal(fake_pq.connections, 1);
	assert_int_equal(stub.asked_positions, 1);
	assert_true(part->suspect);
	assert_int_equal(stub.staged[1], 0);
	assert_true(mr_lane_is_drained(stub.lane)); /* nothing is sent again */
}

static void
another_server_means_a_new_lane(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, {"SELECT millrace.stage", FAKE_ERROR, "MR002", NULL}, OPEN, ASSIGN_AGAIN);
	open_and_assign();
	add(40);
	mr_lane_flush(stub.lane);
	turn_until(MR_LANE_IDLE, 5);
	assert_int_equal(fake_pq.connections, 2);
	assert_int_equal(part->epoch, 6);
	assert_true(mr_lane_is_drained(stub.lane));
}

static void
a_lost_commit_answer_is_never_sent_again(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE_CUT, "", "10"), OPEN, ASSIGN_AGAIN);
	open_and_assign();
	add(40);
	mr_lane_flush(stub.lane);
	turn_until(MR_LANE_IDLE, 5);
	assert_int_equal(stub.staged[1], 0);
	assert_int_equal(part->epoch, 6);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(stub.fetch_from[1], 40); /* fetched again from where the catalogue says */
	assert_true(mr_lane_is_drained(stub.lane));
	assert_int_equal(stub.lane->losses, 1);
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
	mr_lane_flush(stub.lane);
	turn_until(MR_LANE_IDLE, 5);
	assert_int_equal(stub.staged[1], 0);
	assert_int_equal(stub.lane->losses, 1);
	assert_int_equal(stub.fetch_from[1], 40);
}

static void
a_connection_cut_while_assigning(void **state)
{
	(void) state;
	SCRIPT(OPEN, {"SELECT * FROM millrace.assign", FAKE_CUT, NULL, NULL}, OPEN, ASSIGN);
	mr_partition_granted(part);
	mr_lane_poke(stub.lane);
	turn_until(MR_LANE_IDLE, 4);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
}

static void
partitions_without_a_row_wait(void **state)
{
	(void) state;
	SCRIPT(OPEN, {"SELECT * FROM millrace.assign", FAKE_ERROR, "MR003", NULL});
	mr_partition_granted(part);
	mr_lane_poke(stub.lane);
	turn_until(MR_LANE_IDLE, 2);
	assert_int_equal(fake_pq.connections, 1);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
	assert_true(part->due_ms > mr_now_ms());
	assert_int_equal(stub.refreshed, 1);
}

static void
revoked_while_assigning_is_left_alone(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN);
	mr_partition_granted(part);
	mr_lane_poke(stub.lane);
	turn_until(MR_LANE_ASSIGNING, 2);
	mr_partition_revoked(part);
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
	stub.taking = true;
	add(40);
	mr_partition_revoked(part);
	mr_partition_granted(part);
	mr_lane_poke(stub.lane);
	turn_until(MR_LANE_IDLE, 4);
	assert_int_equal(part->epoch, 6);
	assert_true(mr_lane_is_drained(stub.lane));
}

static void
a_pooler_is_refused(void **state)
{
	(void) state;
	fake_pq_script(NULL, 0);
	fake_pq.pooled = true;
	mr_partition_granted(part);
	mr_lane_poke(stub.lane);
	for (int i = 0; i < 100 && stub.lane->losses < 2; i++)
	{
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		usleep(1000);
	}
	assert_true(stub.lane->losses >= 2);
	assert_int_equal(fake_pq.at, 0);
}

static void
refused_connections_are_tried_again(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN);
	fake_pq.refuse = true;
	mr_partition_granted(part);
	mr_lane_poke(stub.lane);
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
	stub.taking = true;
	add(40);
	mr_lane_reset(stub.lane, "another incarnation");
	assert_int_equal(stub.lane->state, MR_LANE_CLOSED);
	assert_true(mr_lane_is_drained(stub.lane));
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
		T(blocked_for_long_holds_the_partitions),
		T(a_fenced_batch_asks_for_positions),
		T(another_server_means_a_new_lane),
		T(a_lost_commit_answer_is_never_sent_again),
		T(a_chunk_that_is_not_taken_over_ends_the_batch),
		T(a_connection_cut_while_assigning),
		T(partitions_without_a_row_wait),
		T(revoked_while_assigning_is_left_alone),
		T(what_was_taken_goes_before_a_new_assignment),
		T(a_pooler_is_refused),
		T(refused_connections_are_tried_again),
		T(reset_drops_what_was_open),
	};

	return cmocka_run_group_tests_name("ingestor/lane_writer", tests, NULL, NULL);
}
