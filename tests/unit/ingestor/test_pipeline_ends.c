/* Ends of partitions: known by fetching, asked for, reported. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/eventloop.h"
#include "pipeline_world.h"

/* positions() answers: how long ago the ends of the four partitions were reported; then all of them were. */
static void
positions(int64_t age_ms)
{
	for (int i = 0; i < PARTITIONS; i++)
	{
		MrPositionRow row = {.partition = i, .end_age_ms = age_ms};

		if (i == 1 && part != NULL)
		{
			row.epoch = part->epoch;
			row.next_offset = part->settled;
			row.stopped = part->state == MR_PARTITION_STOPPED;
		}
		mr_pipeline_answers.position(pl, pl->calls.positions_call + 1, &row);
	}
	mr_pipeline_answers.positions_ended(pl);
}

static void
answer(int look, bool ok, int64_t low, int64_t high)
{
	MrQuestion *question = &asked.looks[look];

	question->ok = ok;
	question->low = low;
	question->high = high;
	question->answer(question);
}

static void
fetches_say_where_a_flowing_partition_ends(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	open_and_assign();
	positions(1000);
	assert_string_equal(asked.calls, "");
	asked.end[1] = 50;
	positions(1000);
	assert_string_equal(asked.calls, "ends|{1}|{50}|{NULL}|t\n");
	assert_int_equal(asked.look_count, 0);
}

/* What a fetch said before the partition was held, or of another topic. */
static void
an_end_below_the_position_is_not_reported(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	open_and_assign();
	asked.end[1] = 39;
	positions(1000);
	assert_string_equal(asked.calls, "");
}

/* Those that nobody has reported for long, in one report. */
static void
partitions_that_nobody_reads_are_asked_for(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	open_and_assign();
	asked.end[1] = 50;
	positions(26000);
	assert_int_equal(asked.look_count, 3);
	assert_int_equal(asked.looks[1].first, 2);
	positions(26000);
	assert_int_equal(asked.look_count, 3); /* still under way */
	asked.calls[0] = '\0';
	answer(0, true, 7, 9);
	answer(1, false, 0, 0);
	assert_string_equal(asked.calls, "");
	answer(2, true, 0, 60);
	assert_string_equal(asked.calls, "ends|{0,3}|{9,60}|{7,0}|f\n");
	positions(-1);
	assert_int_equal(asked.look_count, 3); /* not so soon again */
}

static void
a_held_partition_is_asked_for(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	open_and_assign();
	asked.end[1] = 60;
	taken(true);
	for (int i = 0; i < 6; i++)
		add(40 + i);
	lane->blocked_since_ms -= 2000;
	mr_pipeline_every(pl);
	assert_int_equal(part->state, MR_PARTITION_HELD);
	positions(1000);
	assert_string_equal(asked.calls, "");
	assert_int_equal(asked.look_count, 1);
	answer(0, true, 5, 900);
	assert_string_equal(asked.calls, "ends|{1}|{900}|{5}|t\n");
}

/* The stop comes first: a report from before it would not count. */
static void
a_stop_reports_what_the_broker_said(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	open_and_assign();
	mr_pipeline_consumer_events.failed(pl, 1, MR_FAILURE_OUT_OF_RANGE, "");
	assert_int_equal(asked.look_count, 1);
	answer(0, true, 100, 900);
	assert_int_equal(part->state, MR_PARTITION_STOPPED);
	assert_memory_equal(asked.calls, "stop|1|5|", 9);
	assert_non_null(strstr(asked.calls, "\nends|{1}|{900}|{100}|f\n"));
	part->known_call = 0;
	positions(1000);
	assert_int_equal(asked.look_count, 1);
	pl->ends.items[1].look_at_ms = 0;
	positions(1000);
	assert_int_equal(asked.look_count, 2);
	assert_int_equal(asked.looks[1].first, 1);
	answer(1, true, 100, 900);
}

static void
nothing_is_asked_on_the_way_out(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	open_and_assign();
	mr_pipeline_drain(pl);
	positions(-1);
	assert_int_equal(asked.look_count, 0);
	assert_string_equal(asked.calls, "");
}

#define T(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(fetches_say_where_a_flowing_partition_ends), T(an_end_below_the_position_is_not_reported),
		T(partitions_that_nobody_reads_are_asked_for), T(a_held_partition_is_asked_for),
		T(a_stop_reports_what_the_broker_said),        T(nothing_is_asked_on_the_way_out),
	};

	return cmocka_run_group_tests_name("ingestor/pipeline_ends", tests, NULL, NULL);
}
