/*
 * The consumer against librdkafka's mock cluster: the group, fetching from explicit offsets, no
 * stale message after a seek, ends of partitions, leaving.
 */
#include <dirent.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/eventloop.h"
#include "common/log.h"
#include "ingestor/fetch/consumer.h"
#include "ingestor/fetch/consumer_conf.h"
#include "ingestor/fetch/handle_end.h"

#define TOPIC      "t"
#define PARTITIONS 2
#define MESSAGES   500

static struct event_base *base;
static rd_kafka_t *producer;
static rd_kafka_mock_cluster_t *cluster;
static char brokers[256];
static MrSettings settings;

static MrFetchBudget budget = {.bytes = 8 << 20};
static MrConsumer *consumer;
static MrConsumerCounts counts;
static int granted, revoked, failed;
static int64_t first[PARTITIONS], last[PARTITIONS], ends[PARTITIONS];
static int taken, out_of_order;

static void
on_granted(void *owner, int32_t partition)
{
	(void) owner;
	(void) partition;
	granted++;
}

static void
on_revoked(void *owner, int32_t partition)
{
	(void) owner;
	(void) partition;
	revoked++;
}

static void
on_message(void *owner, int32_t partition, const rd_kafka_message_t *message)
{
	int p = partition;

	(void) owner;
	if (first[p] < 0)
		first[p] = message->offset;
	else if (message->offset != last[p] + 1)
		out_of_order++;
	last[p] = message->offset;
	taken++;
}

static void
on_end(void *owner, int32_t partition, int64_t offset)
{
	(void) owner;
	ends[partition] = offset;
}

static void
on_failed(void *owner, int32_t partition, MrFetchFailure failure, const char *text)
{
	(void) owner;
	(void) partition;
	(void) failure;
	(void) text;
	failed++;
}

static void
on_taken(void *owner, bool more)
{
	(void) owner;
	(void) more;
}

static void
on_unnumbered(void *owner)
{
	(void) owner;
	fail_msg("of one topic");
}

static MrTopics topics;
static const MrConsumerEvents events = {on_granted, on_revoked, on_unnumbered, on_message,
										on_end,     on_failed,  on_taken};

static void
forget(void)
{
	for (int i = 0; i < PARTITIONS; i++)
		first[i] = last[i] = ends[i] = -1;
	taken = out_of_order = 0;
}

#define TURN_UNTIL(condition_)                                                                     \
	do                                                                                             \
	{                                                                                              \
		int64_t give_up = mr_now_ms() + 15000;                                                     \
		while (!(condition_) && mr_now_ms() < give_up)                                             \
		{                                                                                          \
			event_base_loop(base, EVLOOP_NONBLOCK);                                                \
			usleep(1000);                                                                          \
		}                                                                                          \
		assert_true(condition_);                                                                   \
	} while (0)

static void
produce(void)
{
	for (int i = 0; i < MESSAGES * PARTITIONS; i++)
		assert_int_equal(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(TOPIC),
										   RD_KAFKA_V_PARTITION(i % PARTITIONS),
										   RD_KAFKA_V_VALUE("x", 1), RD_KAFKA_V_END),
						 0);
	assert_int_equal(rd_kafka_flush(producer, 10000), 0);
}

/* So that a consumer that does not poll is put out of its group within the test. */
static char *quick[] = {(char[]){"session.timeout.ms=4000"}, (char[]){"heartbeat.interval.ms=200"},
						(char[]){"max.poll.interval.ms=4000"}};

static int
setup(void **state)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char error[512];

	(void) state;
	mr_log_setup("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
	base = event_base_new();
	rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", error, sizeof(error));
	producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	assert_non_null(producer);
	cluster = rd_kafka_handle_mock_cluster(producer);
	rd_kafka_mock_topic_create(cluster, TOPIC, PARTITIONS, 1);
	snprintf(brokers, sizeof(brokers), "%s", rd_kafka_mock_cluster_bootstraps(cluster));
	produce();
	settings.brokers = brokers;
	settings.fetch_buffer_bytes = budget.bytes;
	settings.properties = (MrStrings){quick, sizeof(quick) / sizeof(quick[0])};
	mr_topics_init(&topics, TOPIC);
	consumer = mr_consumer_new(&(MrConsumerSetup){.base = base,
												  .settings = &settings,
												  .pipeline = "p",
												  .topics = &topics,
												  .group_id = "g",
												  .budget = &budget,
												  .counts = &counts,
												  .events = &events},
							   error, sizeof(error));
	forget();
	return consumer == NULL;
}

static int
teardown(void **state)
{
	(void) state;
	mr_consumer_free(consumer);
	if (!mr_handles_have_ended(10000))
		return 1;
	rd_kafka_destroy(producer);
	event_base_free(base);
	mr_topics_free(&topics);
	return 0;
}

/* In order: each goes on where the one before it ended. */
static void
joins_and_fetches_nothing_by_itself(void **state)
{
	int64_t until;

	(void) state;
	TURN_UNTIL(granted == PARTITIONS);
	assert_true(mr_consumer_has_joined(consumer));
	for (until = mr_now_ms() + 300; mr_now_ms() < until; usleep(1000))
		event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(taken, 0);
}

static void
fetches_from_the_given_offset(void **state)
{
	(void) state;
	mr_consumer_fetch(consumer, 0, 100);
	TURN_UNTIL(ends[0] == MESSAGES);
	assert_int_equal(first[0], 100);
	assert_int_equal(last[0], MESSAGES - 1);
	assert_int_equal(taken, MESSAGES - 100);
	assert_int_equal(out_of_order, 0);
}

/* Messages fetched before a seek are in the queue: none of them may come out after it. */
static void
a_seek_shows_no_stale_message(void **state)
{
	(void) state;
	mr_consumer_fetch(consumer, 1, 0);
	for (int i = 0; i < 20; i++)
	{
		int64_t from = i * 17 % 400;

		forget();
		mr_consumer_block(consumer, true);
		mr_consumer_fetch(consumer, 0, from);
		event_base_loop(base, EVLOOP_NONBLOCK);
		usleep(20000); /* let something be fetched that is then void */
		mr_consumer_block(consumer, false);
		mr_consumer_fetch(consumer, 0, from + 7);
		TURN_UNTIL(ends[0] == MESSAGES);
		assert_int_equal(first[0], from + 7);
		assert_int_equal(last[0], MESSAGES - 1);
		assert_int_equal(out_of_order, 0);
	}
}

static void
a_stopped_partition_stays_silent(void **state)
{
	int64_t until;

	(void) state;
	mr_consumer_stop(consumer, 0);
	forget();
	produce();
	TURN_UNTIL(ends[1] == 2 * MESSAGES);
	for (until = mr_now_ms() + 300; mr_now_ms() < until; usleep(1000))
		event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(first[0], -1);
	assert_int_equal(failed, 0);
}

/* librdkafka leaves the group of a consumer that does not poll for max.poll.interval.ms, though nothing has come. */
static void
an_idle_topic_keeps_the_membership(void **state)
{
	int64_t until;

	(void) state;
	TURN_UNTIL(ends[1] == 2 * MESSAGES);
	for (until = mr_now_ms() + 5500; mr_now_ms() < until && revoked == 0; usleep(1000))
		event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(revoked, 0);
	assert_int_equal(counts.errors, 0);
}

/* What is in the queue stays there, and is as it was when it is taken later. */
static void
a_blocked_consumer_keeps_the_membership(void **state)
{
	int64_t until;

	(void) state;
	forget();
	mr_consumer_block(consumer, true);
	mr_consumer_fetch(consumer, 0, 0);
	for (until = mr_now_ms() + 5500; mr_now_ms() < until && counts.errors == 0; usleep(1000))
		event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(counts.errors, 0);
	assert_int_equal(revoked, 0);
	assert_int_equal(taken, 0);
	mr_consumer_block(consumer, false);
	TURN_UNTIL(ends[0] == 2 * MESSAGES);
	assert_int_equal(first[0], 0);
	assert_int_equal(out_of_order, 0);
}

/* Each time the share is full, fetching stops; it goes on behind the last message that was kept. */
static void
a_full_share_stops_fetching_and_loses_nothing(void **state)
{
	int64_t bytes = budget.bytes;
	int64_t most = 0;

	(void) state;
	forget();
	budget.bytes = 100 * 400; /* a tenth of what a partition holds */
	mr_consumer_block(consumer, true);
	mr_consumer_fetch(consumer, 0, 0);
	mr_consumer_fetch(consumer, 1, 0);
	TURN_UNTIL(mr_consumer_queued_bytes(consumer) >= budget.bytes);
	mr_consumer_block(consumer, false);
	TURN_UNTIL((most = mr_consumer_queued_bytes(consumer) > most
						   ? mr_consumer_queued_bytes(consumer)
						   : most,
				ends[0] == 2 * MESSAGES && ends[1] == 2 * MESSAGES));
	assert_int_equal(first[0], 0);
	assert_int_equal(first[1], 0);
	assert_int_equal(taken, 4 * MESSAGES);
	assert_int_equal(out_of_order, 0);
	assert_int_equal(budget.used, 0);
	budget.bytes = bytes;
}

/* What was kept before a seek, or of a partition that was stopped, does not come out any more. */
static void
a_seek_voids_what_was_kept(void **state)
{
	(void) state;
	forget();
	mr_consumer_block(consumer, true);
	mr_consumer_fetch(consumer, 0, 0);
	mr_consumer_fetch(consumer, 1, 0);
	TURN_UNTIL(mr_consumer_queued(consumer) >= 4 * MESSAGES);
	mr_consumer_fetch(consumer, 0, 900);
	mr_consumer_stop(consumer, 1);
	mr_consumer_block(consumer, false);
	TURN_UNTIL(ends[0] == 2 * MESSAGES);
	assert_int_equal(first[0], 900);
	assert_int_equal(first[1], -1);
	assert_int_equal(out_of_order, 0);
	assert_int_equal(budget.used, 0);
}

static int
threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	int count = -2; /* . and .. */

	while (readdir(tasks) != NULL)
		count++;
	closedir(tasks);
	return count;
}

/* Its handle ends: none may be left behind at each attempt. */
static void
a_subscription_that_fails_leaves_nothing_behind(void **state)
{
	MrTopics nameless;
	MrConsumerSetup setup = {.base = base,
							 .settings = &settings,
							 .pipeline = "p",
							 .topics = &nameless,
							 .group_id = "g",
							 .budget = &budget,
							 .counts = &counts,
							 .events = &events};
	int before = threads();
	int shares = budget.shares;
	char error[512];

	(void) state;
	mr_topics_init(&nameless, "");
	for (int i = 0; i < 3; i++)
	{
		assert_null(mr_consumer_new(&setup, error, sizeof(error)));
		assert_non_null(strstr(error, "could not subscribe"));
	}
	assert_true(mr_handles_have_ended(10000));
	TURN_UNTIL(threads() == before);
	assert_int_equal(budget.shares, shares);
	mr_topics_free(&nameless);
}

static void
leaves_the_group(void **state)
{
	int64_t begin = mr_now_ms();

	(void) state;
	mr_consumer_close(consumer);
	TURN_UNTIL(mr_consumer_is_closed(consumer));
	assert_int_equal(revoked, PARTITIONS);
	assert_true(mr_now_ms() - begin < 1500);
}

static void
wrong_properties_are_reported(void **state)
{
	char *wrong[] = {(char[]){"no.such=1"}, (char[]){"enable.auto.commit=true"}};
	char error[512];

	(void) state;
	for (int i = 0; i < 2; i++)
	{
		settings.properties = (MrStrings){&wrong[i], 1};
		assert_false(mr_consumer_conf_check(&settings, error, sizeof(error)));
		assert_non_null(strstr(error, i ? "enable.auto.commit" : "no.such"));
	}
	wrong[0] = (char[]){"enable.auto.commit=false"}; /* what holds anyway */
	settings.properties = (MrStrings){wrong, 1};
	assert_true(mr_consumer_conf_check(&settings, error, sizeof(error)));
	settings.properties = (MrStrings){0};
	assert_true(mr_consumer_conf_check(&settings, error, sizeof(error)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(joins_and_fetches_nothing_by_itself),
		cmocka_unit_test(fetches_from_the_given_offset),
		cmocka_unit_test(a_seek_shows_no_stale_message),
		cmocka_unit_test(a_stopped_partition_stays_silent),
		cmocka_unit_test(an_idle_topic_keeps_the_membership),
		cmocka_unit_test(a_blocked_consumer_keeps_the_membership),
		cmocka_unit_test(a_full_share_stops_fetching_and_loses_nothing),
		cmocka_unit_test(a_seek_voids_what_was_kept),
		cmocka_unit_test(a_subscription_that_fails_leaves_nothing_behind),
		cmocka_unit_test(leaves_the_group),
		cmocka_unit_test(wrong_properties_are_reported),
	};

	return cmocka_run_group_tests_name("ingestor/fetch/consumer", tests, setup, teardown);
}
