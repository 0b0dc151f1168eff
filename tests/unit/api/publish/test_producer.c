/*
 * The producer and the ends of partitions, against librdkafka's own mock cluster: what a broker says when it cannot say, and
 * what becomes of messages when the handle fails for good.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "api/publish/ends.h"
#include "api/publish/producer.h"
#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/log.h"

#define TOPIC        "events"
#define MESSAGES     5     /* in partition 0 */
#define END_FLUSH_MS 2345  /* of mr_producer_free(), and of no other flush */
#define HANG_MS      30000 /* a test that waits so long fails */
#define LOOK_US      (20 * 1000)

static rd_kafka_t *owner;
static rd_kafka_mock_cluster_t *cluster;
static MrProducer *producer;
static MrStrings properties;

/* Fills partition 0, past the producer under test. */
static void
fill(const char *brokers)
{
	char error[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *writer;

	rd_kafka_conf_set(conf, "bootstrap.servers", brokers, error, sizeof(error));
	writer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	for (int i = 0; i < MESSAGES; i++)
		rd_kafka_producev(writer, RD_KAFKA_V_TOPIC(TOPIC), RD_KAFKA_V_PARTITION(0),
						  RD_KAFKA_V_VALUE("x", 1), RD_KAFKA_V_END);
	assert_int_equal(rd_kafka_flush(writer, HANG_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
	rd_kafka_destroy(writer);
}

/* Three brokers, each the leader of one partition. */
static int
set_up(void **state)
{
	char error[256] = "";
	MrProducerSetup setup = {.topic = TOPIC, .publish_ms = 5000, .properties = &properties};
	MrProducerState now = {.is_open = true};

	(void) state;
	mr_log_setup("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
	owner = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), error, sizeof(error));
	cluster = rd_kafka_mock_cluster_new(owner, 3);
	rd_kafka_mock_topic_create(cluster, TOPIC, 3, 1);
	for (int i = 0; i < 3; i++)
		rd_kafka_mock_partition_set_leader(cluster, TOPIC, i, i + 1);
	setup.brokers = rd_kafka_mock_cluster_bootstraps(cluster);
	fill(setup.brokers);
	mr_strings_add(&properties, "topic.metadata.refresh.interval.ms=100");
	producer = mr_producer_new(&setup, error, sizeof(error));
	assert_non_null(producer);
	for (int64_t began = mr_now_ms(); now.is_open && mr_now_ms() - began < HANG_MS; usleep(LOOK_US))
		mr_producer_state(producer, &now);
	return now.is_open ? -1 : 0;
}

static int
tear_down(void **state)
{
	(void) state;
	mr_producer_free(producer, 0);
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(owner);
	mr_strings_clear(&properties);
	return 0;
}

/* Asks until it is said where partition 0 ends, or until nobody says it. No end but the right one is said meanwhile. */
static void
ask_until(bool says)
{
	bool said = !says;

	for (int64_t began = mr_now_ms(); said != says && mr_now_ms() - began < HANG_MS;
		 usleep(LOOK_US))
	{
		int64_t end = -1;

		said = mr_producer_end_of(producer, TOPIC, 0, &end) == MR_END_KNOWN;
		if (said)
			assert_int_equal(end, MESSAGES);
	}
	assert_int_equal(said, says);
}

static void
the_end_is_known(void **state)
{
	int64_t end = -1;

	(void) state;
	ask_until(true);
	assert_int_equal(mr_producer_end_of(producer, TOPIC, 1, &end), MR_END_KNOWN);
	assert_int_equal(end, 0);
}

static void
a_partition_that_is_not_there_has_no_events(void **state)
{
	int64_t end = -1;

	(void) state;
	ask_until(true);
	assert_int_equal(mr_producer_end_of(producer, TOPIC, 3, &end), MR_END_KNOWN);
	assert_int_equal(end, 0);
}

static void
nobody_says_the_end_of_a_partition_without_a_leader(void **state)
{
	(void) state;
	ask_until(true);
	rd_kafka_mock_partition_set_leader(cluster, TOPIC, 0, -1);
	for (int i = 0; i < 3; i++)
		ask_until(false);
	rd_kafka_mock_partition_set_leader(cluster, TOPIC, 0, 1);
	ask_until(true);
}

static void
nobody_says_the_end_in_a_topic_that_may_not_be_read(void **state)
{
	(void) state;
	ask_until(true);
	rd_kafka_mock_topic_set_error(cluster, TOPIC, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	for (int i = 0; i < 3; i++)
		ask_until(false);
	rd_kafka_mock_topic_set_error(cluster, TOPIC, RD_KAFKA_RESP_ERR_NO_ERROR);
	ask_until(true);
}

static void
nobody_says_the_end_in_a_topic_that_is_away(void **state)
{
	(void) state;
	ask_until(true);
	rd_kafka_mock_topic_set_error(cluster, TOPIC, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
	for (int i = 0; i < 3; i++)
		ask_until(false);
	rd_kafka_mock_topic_set_error(cluster, TOPIC, RD_KAFKA_RESP_ERR_NO_ERROR);
	ask_until(true);
}

static int answered;

static void
on_end(void *asker, MrPublishFailure failure, int32_t partition, int64_t end, const char *text)
{
	(void) partition, (void) end, (void) text;
	*(MrPublishFailure *) asker = failure;
	answered++;
}

/* One of three brokers is silent, and its partitions are asked for first: those of the others are answered in time. */
static void
a_silent_broker_is_waited_for_once(void **state)
{
	enum
	{
		PARTITIONS = 30
	};
	const char wide[] = "wide";
	struct event_base *base = event_base_new();
	MrOutbox *outbox = mr_outbox_new(producer, base);
	MrEnds *ends = mr_producer_ends(producer);
	MrPublishFailure failures[PARTITIONS];
	struct timeval look = {.tv_usec = LOOK_US};

	(void) state;
	rd_kafka_mock_topic_create(cluster, wide, PARTITIONS, 1);
	for (int i = 0; i < PARTITIONS; i++)
		rd_kafka_mock_partition_set_leader(cluster, wide, i, 1 + i / 10);
	for (int round = 0; round < 2; round++)
	{
		answered = 0;
		for (int i = 0; i < PARTITIONS; i++)
			assert_non_null(mr_ends_ask(ends, outbox, wide, i, on_end, &failures[i]));
		for (int64_t began = mr_now_ms(); answered < PARTITIONS && mr_now_ms() - began < HANG_MS;)
		{
			event_base_loopexit(base, &look);
			event_base_dispatch(base);
		}
		assert_int_equal(answered, PARTITIONS);
		for (int i = 0; i < PARTITIONS; i++)
			assert_int_equal(failures[i], round == 1 && i < 10 ? MR_PUBLISH_DOWN : MR_PUBLISH_OK);
		rd_kafka_mock_broker_set_rtt(cluster, 1, HANG_MS);
	}
	mr_outbox_free(outbox);
	event_base_free(base);
}

/*
 * What the test changes in librdkafka: a flush that ends before all is reported, a fatal error while the end flushes, and who
 * destroys a handle under a flush.
 */
static _Atomic(rd_kafka_t *) made;    /* last: the producer's */
static _Atomic int unflushed;         /* so many flushes do nothing */
static _Atomic bool fails_in_flush;   /* the next long one */
static _Atomic(rd_kafka_t *) flushed; /* what the end flushes */
static _Atomic bool is_destroyed_under_flush;

rd_kafka_resp_err_t __real_rd_kafka_flush(rd_kafka_t *handle, int timeout_ms);
rd_kafka_resp_err_t __wrap_rd_kafka_flush(rd_kafka_t *handle, int timeout_ms);
void __real_rd_kafka_destroy(rd_kafka_t *handle);
void __wrap_rd_kafka_destroy(rd_kafka_t *handle);

rd_kafka_resp_err_t
__wrap_rd_kafka_flush(rd_kafka_t *handle, int timeout_ms)
{
	rd_kafka_resp_err_t code;

	if (atomic_load(&unflushed) > 0)
	{
		atomic_fetch_sub(&unflushed, 1);
		return RD_KAFKA_RESP_ERR__TIMED_OUT;
	}
	if (timeout_ms != END_FLUSH_MS)
		return __real_rd_kafka_flush(handle, timeout_ms);
	atomic_store(&flushed, handle);
	if (atomic_load(&fails_in_flush))
		rd_kafka_test_fatal_error(handle, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "test");
	code = __real_rd_kafka_flush(handle, timeout_ms);
	usleep(10 * LOOK_US); /* whoever destroys it has the time for it */
	atomic_store(&flushed, NULL);
	return code;
}

void
__wrap_rd_kafka_destroy(rd_kafka_t *handle)
{
	if (handle == atomic_load(&flushed))
		atomic_store(&is_destroyed_under_flush, true);
	__real_rd_kafka_destroy(handle);
}

rd_kafka_t *__real_rd_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *error,
								size_t error_size);
rd_kafka_t *__wrap_rd_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *error,
								size_t error_size);

rd_kafka_t *
__wrap_rd_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *error, size_t error_size)
{
	rd_kafka_t *handle = __real_rd_kafka_new(type, conf, error, error_size);

	atomic_store(&made, handle);
	return handle;
}

static int reported;

static void
on_reported(void *reporter, MrPublishFailure failure, int32_t partition, int64_t offset,
			const char *text)
{
	(void) reporter, (void) failure, (void) partition, (void) offset, (void) text;
	reported++;
}

/* Takes messages that no broker acknowledges soon. */
static void
publish(MrOutbox *outbox, int count)
{
	const MrTrace trace = {.parent = ""};
	MrPublishFailure failure;

	for (int i = 1; i <= 3; i++)
		rd_kafka_mock_broker_set_rtt(cluster, i, HANG_MS);
	for (int i = 0; i < count; i++)
		assert_non_null(
			mr_outbox_publish(outbox, NULL, "x", 1, &trace, on_reported, NULL, &failure));
}

/* Each message of a handle that fails is reported, however often its flush times out. */
static void
no_report_is_lost_with_a_handle(void **state)
{
	struct event_base *base = event_base_new();
	MrOutbox *outbox = mr_outbox_new(producer, base);
	struct timeval look = {.tv_usec = LOOK_US};

	(void) state;
	reported = 0;
	publish(outbox, 100);
	atomic_store(&unflushed, 2);
	rd_kafka_test_fatal_error(made, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "test");
	for (int64_t began = mr_now_ms(); reported < 100 && mr_now_ms() - began < HANG_MS;)
	{
		event_base_loopexit(base, &look);
		event_base_dispatch(base);
	}
	mr_outbox_free(outbox);
	event_base_free(base);
	assert_int_equal(reported, 100);
}

static void
a_handle_outlives_its_flush(void **state)
{
	struct event_base *base = event_base_new();
	MrOutbox *outbox = mr_outbox_new(producer, base);

	(void) state;
	publish(outbox, 100);
	mr_outbox_free(outbox);
	event_base_free(base);
	atomic_store(&fails_in_flush, true);
	mr_producer_free(producer, END_FLUSH_MS);
	producer = NULL;
	atomic_store(&fails_in_flush, false);
	assert_false(atomic_load(&is_destroyed_under_flush));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_end_is_known, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_partition_that_is_not_there_has_no_events, set_up,
										tear_down),
		cmocka_unit_test_setup_teardown(nobody_says_the_end_of_a_partition_without_a_leader, set_up,
										tear_down),
		cmocka_unit_test_setup_teardown(nobody_says_the_end_in_a_topic_that_may_not_be_read, set_up,
										tear_down),
		cmocka_unit_test_setup_teardown(nobody_says_the_end_in_a_topic_that_is_away, set_up,
										tear_down),
		cmocka_unit_test_setup_teardown(a_silent_broker_is_waited_for_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_report_is_lost_with_a_handle, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_handle_outlives_its_flush, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("api/publish/producer", tests, NULL, NULL);
}
