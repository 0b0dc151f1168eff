/* What is fetched, what is to be fetched, what is written to the group. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ingestor/fetch/fetch_table.h"

static MrFetchTable table;
static MrTopics topics;
static rd_kafka_topic_partition_list_t *stop, *start;

static int
setup(void **state)
{
	(void) state;
	mr_topics_init(&topics, "t");
	stop = rd_kafka_topic_partition_list_new(4);
	start = rd_kafka_topic_partition_list_new(4);
	return 0;
}

static void
teardown_lists(void)
{
	rd_kafka_topic_partition_list_destroy(stop);
	rd_kafka_topic_partition_list_destroy(start);
	mr_topics_free(&topics);
}

static int
teardown(void **state)
{
	(void) state;
	teardown_lists();
	mr_fetch_table_free(&table);
	return 0;
}

static void
apply(void)
{
	rd_kafka_topic_partition_list_del_by_idx(stop, 0);
	rd_kafka_topic_partition_list_del_by_idx(start, 0);
	mr_fetch_table_apply(&table, &topics, stop, start);
	assert_false(table.changed);
}

static void
apply_afresh(void)
{
	teardown_lists();
	setup(NULL);
	mr_fetch_table_apply(&table, &topics, stop, start);
	assert_false(table.changed);
}

static void
messages_are_void_until_the_change_is_applied(void **state)
{
	(void) state;
	mr_fetch_table_grant(&table, 40); /* beyond the first size of the table */
	assert_true(mr_fetch_table_is_void(&table, 40));
	assert_true(mr_fetch_table_is_void(&table, 1000));
	assert_false(mr_fetch_table_is_wanted(&table));
	mr_fetch_table_start(&table, 40, 7);
	assert_true(table.changed);
	assert_true(mr_fetch_table_is_void(&table, 40));
	apply();
	assert_false(mr_fetch_table_is_void(&table, 40));
	assert_int_equal(stop->cnt, 0);
	assert_int_equal(start->cnt, 1);
	assert_int_equal(start->elems[0].partition, 40);
	assert_int_equal(start->elems[0].offset, 7);
}

static void
a_seek_stops_and_starts(void **state)
{
	(void) state;
	mr_fetch_table_start(&table, 2, 7);
	apply();
	mr_fetch_table_start(&table, 2, 9);
	assert_true(mr_fetch_table_is_void(&table, 2));
	apply();
	assert_int_equal(stop->cnt, 1);
	assert_int_equal(start->cnt, 1);
	assert_int_equal(start->elems[0].offset, 9);
}

static void
the_last_order_counts(void **state)
{
	(void) state;
	mr_fetch_table_start(&table, 2, 7);
	mr_fetch_table_stop(&table, 2);
	apply();
	assert_int_equal(stop->cnt, 0); /* it was never fetched */
	assert_int_equal(start->cnt, 0);
	mr_fetch_table_start(&table, 2, 7);
	apply();
	mr_fetch_table_stop(&table, 2);
	apply();
	assert_int_equal(stop->cnt, 1);
	assert_int_equal(start->cnt, 0);
	assert_true(mr_fetch_table_is_void(&table, 2));
}

static void
what_is_revoked_is_forgotten(void **state)
{
	(void) state;
	mr_fetch_table_grant(&table, 2);
	assert_false(mr_fetch_table_revoke(&table, 2));
	mr_fetch_table_start(&table, 2, 7);
	apply();
	mr_fetch_table_start(&table, 2, 9);
	assert_true(mr_fetch_table_revoke(&table, 2));
	apply();
	assert_int_equal(start->cnt, 0);
	assert_true(mr_fetch_table_is_void(&table, 2));
}

/* A pause stops all and keeps what was kept; a change meanwhile makes that stale. */
static void
a_pause_goes_on_behind_the_last_message(void **state)
{
	uint32_t version[3];

	(void) state;
	for (int p = 0; p < 3; p++)
		mr_fetch_table_start(&table, p, 10);
	apply_afresh();
	for (int p = 0; p < 3; p++)
		version[p] = mr_fetch_table_keep(&table, p, 20 + p, false);
	assert_true(mr_fetch_table_is_wanted(&table));
	mr_fetch_table_pause(&table, true);
	assert_true(table.changed);
	apply_afresh();
	assert_int_equal(stop->cnt, 3);
	assert_int_equal(start->cnt, 0);
	assert_true(mr_fetch_table_is_void(&table, 0));
	assert_false(mr_fetch_table_is_stale(&table, 0, version[0]));
	mr_fetch_table_start(&table, 1, 5);
	assert_true(mr_fetch_table_is_stale(&table, 1, version[1]));
	mr_fetch_table_stop(&table, 2);
	assert_true(mr_fetch_table_is_stale(&table, 2, version[2]));
	apply_afresh();
	mr_fetch_table_pause(&table, false);
	apply_afresh();
	assert_int_equal(start->cnt, 2);
	assert_int_equal(rd_kafka_topic_partition_list_find(start, "t", 0)->offset, 20);
	assert_int_equal(rd_kafka_topic_partition_list_find(start, "t", 1)->offset, 5);
}

/* librdkafka begins with the last of the list. */
static void
partitions_at_their_end_are_started_last(void **state)
{
	(void) state;
	for (int p = 0; p < 4; p++)
		mr_fetch_table_start(&table, p, 10);
	apply_afresh();
	assert_true(mr_fetch_table_is_behind(&table));
	for (int p = 0; p < 4; p++)
		mr_fetch_table_keep(&table, p, 10, p != 2);
	mr_fetch_table_pause(&table, true);
	apply_afresh();
	mr_fetch_table_pause(&table, false);
	apply_afresh();
	assert_int_equal(start->cnt, 4);
	assert_int_equal(start->elems[3].partition, 2);
	assert_true(mr_fetch_table_is_behind(&table));
	mr_fetch_table_keep(&table, 2, 10, true);
	assert_false(mr_fetch_table_is_behind(&table));
}

static void
each_settled_offset_is_committed_once(void **state)
{
	(void) state;
	mr_fetch_table_grant(&table, 2);
	mr_fetch_table_settled(&table, 2, 5);
	mr_fetch_table_commit(&table, &topics, start);
	assert_int_equal(start->cnt, 1);
	assert_int_equal(start->elems[0].offset, 5);
	mr_fetch_table_commit(&table, &topics, start);
	assert_int_equal(start->cnt, 1);
	mr_fetch_table_revoke(&table, 2);
	mr_fetch_table_grant(&table, 2);
	mr_fetch_table_settled(&table, 2, 5); /* another member may have written less */
	mr_fetch_table_commit(&table, &topics, start);
	assert_int_equal(start->cnt, 2);
}

#define T(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(messages_are_void_until_the_change_is_applied),
		T(a_seek_stops_and_starts),
		T(the_last_order_counts),
		T(what_is_revoked_is_forgotten),
		T(a_pause_goes_on_behind_the_last_message),
		T(partitions_at_their_end_are_started_last),
		T(each_settled_offset_is_committed_once),
	};

	return cmocka_run_group_tests_name("ingestor/fetch/fetch_table", tests, NULL, NULL);
}
