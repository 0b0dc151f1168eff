/* What is fetched, what is to be fetched, what is written to the group. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ingestor/fetch/fetch_table.h"

static MrFetchTable table;
static rd_kafka_topic_partition_list_t *stop, *start;

static int
setup(void **state)
{
	(void) state;
	stop = rd_kafka_topic_partition_list_new(4);
	start = rd_kafka_topic_partition_list_new(4);
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	rd_kafka_topic_partition_list_destroy(stop);
	rd_kafka_topic_partition_list_destroy(start);
	mr_fetch_table_free(&table);
	return 0;
}

static void
apply(void)
{
	rd_kafka_topic_partition_list_del_by_idx(stop, 0);
	rd_kafka_topic_partition_list_del_by_idx(start, 0);
	mr_fetch_table_apply(&table, "t", stop, start);
	assert_false(table.changed);
}

static void
messages_are_void_until_the_change_is_applied(void **state)
{
	(void) state;
	mr_fetch_table_grant(&table, 40); /* beyond the first size of the table */
	assert_true(mr_fetch_table_is_void(&table, 40));
	assert_true(mr_fetch_table_is_void(&table, 1000));
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

static void
each_settled_offset_is_committed_once(void **state)
{
	(void) state;
	mr_fetch_table_grant(&table, 2);
	mr_fetch_table_settled(&table, 2, 5);
	mr_fetch_table_commit(&table, "t", start);
	assert_int_equal(start->cnt, 1);
	assert_int_equal(start->elems[0].offset, 5);
	mr_fetch_table_commit(&table, "t", start);
	assert_int_equal(start->cnt, 1);
	mr_fetch_table_revoke(&table, 2);
	mr_fetch_table_grant(&table, 2);
	mr_fetch_table_settled(&table, 2, 5); /* another member may have written less */
	mr_fetch_table_commit(&table, "t", start);
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
		T(each_settled_offset_is_committed_once),
	};

	return cmocka_run_group_tests_name("ingestor/fetch/fetch_table", tests, NULL, NULL);
}
