/*
 * A pipeline with its partitions and lanes against a scripted server: opening, assigning, staging, backpressure, and every
 * way to lose a lane. The consumer, the control connection and the resolver only note what they are asked for.
 */
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
#include "ingestor/pipeline_answers.h"
#include "ingestor/pipeline_consume.h"
#include "ingestor/pipeline_step.h"

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

#define PARTITIONS 4

/* What was asked for. */
static struct
{
	bool fetch[PARTITIONS];
	int64_t fetch_from[PARTITIONS];
	bool blocked;
	int woken, positions, starts;
} asked;

static struct event_base *base;
static MrSettings settings;
static char empty[] = "";
static MrPipeline *pl;
static MrStageLane *lane;
static MrFetchPartition *part;

MrConsumer *
mr_consumer_new(const MrConsumerSetup *setup, char *error, size_t error_size)
{
	(void) setup;
	(void) error;
	(void) error_size;
	return (MrConsumer *) &asked;
}

void
mr_consumer_fetch(MrConsumer *consumer, int32_t partition, int64_t from)
{
	(void) consumer;
	asked.fetch[partition] = true;
	asked.fetch_from[partition] = from;
}

void
mr_consumer_stop(MrConsumer *consumer, int32_t partition)
{
	(void) consumer;
	asked.fetch[partition] = false;
	asked.fetch_from[partition] = -1;
}

void
mr_consumer_block(MrConsumer *consumer, bool blocked)
{
	(void) consumer;
	asked.blocked = blocked;
	asked.woken += !blocked;
}

rd_kafka_t *
mr_consumer_handle(const MrConsumer *consumer)
{
	(void) consumer;
	return (rd_kafka_t *) &asked;
}

int64_t
mr_consumer_end(const MrConsumer *consumer, int32_t partition)
{
	(void) consumer;
	(void) partition;
	return -1;
}

void
mr_consumer_settled(MrConsumer *consumer, int32_t partition, int64_t offset)
{
	(void) consumer;
	(void) partition;
	(void) offset;
}

void
mr_consumer_commit(MrConsumer *consumer)
{
	(void) consumer;
}

void
mr_consumer_close(MrConsumer *consumer)
{
	(void) consumer;
}

bool
mr_consumer_is_closed(const MrConsumer *consumer)
{
	(void) consumer;
	return true;
}

bool
mr_consumer_is_fatal(const MrConsumer *consumer)
{
	(void) consumer;
	return false;
}

void
mr_consumer_free(MrConsumer *consumer)
{
	(void) consumer;
}

void
mr_control_call(MrControl *control, const char *sql, int count, const char *const *values,
				MrControlAnswer answer, void *owner, uint64_t tag)
{
	(void) control;
	(void) count;
	(void) values;
	(void) answer;
	(void) owner;
	(void) tag;
	asked.positions += strstr(sql, "millrace.positions") != NULL;
}

uint64_t
mr_control_losses(const MrControl *control)
{
	(void) control;
	return 0;
}

void
mr_resolver_ask(MrResolver *resolver, const MrQuestion *question)
{
	(void) resolver;
	asked.starts += question->kind == MR_ASK_STARTS;
}

/* librdkafka's accessors, for messages that are not its own. */
rd_kafka_resp_err_t
rd_kafka_message_headers(const rd_kafka_message_t *message, rd_kafka_headers_t **out)
{
	(void) message;
	*out = NULL;
	return RD_KAFKA_RESP_ERR__NOENT;
}

int64_t
rd_kafka_message_timestamp(const rd_kafka_message_t *message, rd_kafka_timestamp_type_t *type)
{
	(void) message;
	*type = RD_KAFKA_TIMESTAMP_CREATE_TIME;
	return 1;
}

static int
setup(void **state)
{
	const MrPipelineSetup with = {.base = base = event_base_new(), .settings = &settings};
	const MrServedRow row = {.pipeline = "stub",
							 .topic = "t",
							 .group_id = "g",
							 .lanes = 2,
							 .partitions = PARTITIONS,
							 .start_at = "earliest",
							 .incarnation = 99};

	(void) state;
	mr_log_setup("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
	memset(&asked, 0, sizeof(asked));
	settings = (MrSettings){.dsn = empty,
							.batch_rows = 3,
							.batch_bytes = 1 << 20,
							.max_message_bytes = 1 << 20,
							.hold_after_ms = 1000};
	pl = mr_pipeline_new(&with, &row, 0);
	lane = pl->lanes[1].stage;
	lane->backoff = (MrBackoff){.min_ms = 2, .max_ms = 4};
	part = NULL;
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	mr_pipeline_free(pl);
	event_base_free(base);
	return 0;
}

static void
grant(void)
{
	mr_pipeline_consumer_events.granted(pl, 1);
	part = mr_pipeline_partition(pl, 1);
}

static void
take_back(void)
{
	mr_pipeline_consumer_events.revoked(pl, 1);
}

/* The queue holds more, or is empty. */
static void
taken(bool more)
{
	mr_pipeline_consumer_events.taken(pl, more);
}

/* Turns the loop until the lane is in the state (and the script at the step), or fails. */
static void
turn_until(MrLaneState state, int step)
{
	for (int i = 0; i < 2000; i++)
	{
		if (lane->writer.state == state && fake_pq.at == step)
			return;
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		usleep(500);
	}
	fail_msg("state %s, step %d", mr_lane_state_name(lane->writer.state), fake_pq.at);
}

static void
open_and_assign(void)
{
	grant();
	turn_until(MR_LANE_IDLE, 2);
	assert_int_equal(part->state, MR_PARTITION_FLOWING);
	assert_int_equal(part->epoch, 5);
	assert_int_equal(part->position, 40);
}

static void
add_payload(int64_t offset, void *payload, size_t len)
{
	const rd_kafka_message_t message = {.partition = 1,
										.offset = offset,
										.payload = payload,
										.len = len};

	mr_pipeline_consumer_events.message(pl, &message);
}

static void
add(int64_t offset)
{
	char payload[] = "p";

	add_payload(offset, payload, 1);
}

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
partitions_without_a_row_wait(void **state)
{
	(void) state;
	SCRIPT(OPEN, {"SELECT * FROM millrace.assign", FAKE_ERROR, "MR003", NULL});
	grant();
	turn_until(MR_LANE_IDLE, 2);
	assert_int_equal(fake_pq.connections, 1);
	assert_int_equal(part->state, MR_PARTITION_WAITING);
	assert_true(lane->requests[0].due_ms > mr_now_ms());
	assert_int_equal(asked.starts, 1);
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
		T(blocked_for_long_holds_the_partitions),
		T(a_fenced_batch_asks_for_positions),
		T(another_server_means_a_new_lane),
		T(a_lost_commit_answer_is_never_sent_again),
		T(a_chunk_that_is_not_taken_over_ends_the_batch),
		T(a_connection_cut_while_assigning),
		T(partitions_without_a_row_wait),
		T(revoked_while_assigning_is_left_alone),
		T(what_was_taken_goes_before_a_new_assignment),
		T(unknown_partitions_are_not_assigned),
		T(a_blocked_lane_blocks_the_consumer_until_it_is_held),
		T(draining_assigns_and_fetches_nothing),
		T(a_pooler_is_refused),
		T(refused_connections_are_tried_again),
		T(reset_drops_what_was_open),
	};

	return cmocka_run_group_tests_name("ingestor/pipeline", tests, NULL, NULL);
}
