/* When a poll asks for positions, and when it need not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/eventloop.h"
#include "pipeline_world.h"

/* positions() answers: partition 1 is ours and settled up to here, the others are read by someone who reports them. */
static void
answer(int64_t settled, int64_t age_ms)
{
	for (int i = 0; i < PARTITIONS; i++)
	{
		MrPositionRow row = {.partition = i, .end_age_ms = age_ms};

		if (i == 1)
		{
			row.epoch = part->epoch;
			row.next_offset = settled;
		}
		mr_pipeline_answers.position(pl, pl->calls.positions_call + 1, &row);
	}
	mr_pipeline_answers.positions_ended(pl);
	pl->calls.positions_pending = pl->calls.positions_again = false;
}

/* Whether the next poll asks, so long after the last call. */
static bool
asks_after(int64_t ms)
{
	int before = asked.positions;

	pl->rest.asked_ms = mr_now_ms() - ms;
	mr_pipeline_poll(pl);
	pl->calls.positions_pending = pl->calls.positions_again = false;
	return asked.positions > before;
}

/* Partition 1 flows, all of it is settled, its end is reported. */
static void
come_to_rest(void)
{
	open_and_assign();
	assert_true(asks_after(0)); /* nothing is known of the ends */
	asked.end[1] = 40;
	answer(40, 1000);
	assert_false(asks_after(2000));
}

static void
at_rest_it_asks_now_and_then(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	come_to_rest();
	assert_false(asks_after(7000));
	assert_true(asks_after(8000));
}

/* What is staged is to be settled, what is in a batch to be staged. */
static void
what_is_under_way_is_asked_for(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	come_to_rest();
	part->position = 50;
	assert_true(asks_after(0));
	part->staged = 50;
	assert_true(asks_after(0));
	answer(50, 1000);
	assert_true(asks_after(0)); /* an end below the position is an old one */
	asked.end[1] = 50;
	answer(50, 1000);
	assert_false(asks_after(0));
}

/* The lag that the views show is that of now. */
static void
a_new_end_is_reported(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	come_to_rest();
	asked.end[1] = 90;
	assert_true(asks_after(0));
	answer(40, 1000);
	assert_false(asks_after(0));
}

/* A verb or another ingestor has moved a partition. */
static void
the_listing_has_news(void **state)
{
	MrServedRow row = {.pipeline = "stub",
					   .topic = "t",
					   .group_id = "g",
					   .lanes = 2,
					   .partitions = PARTITIONS,
					   .start_at = "earliest",
					   .incarnation = 99};
	int before;

	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	come_to_rest();
	before = asked.positions;
	assert_true(mr_pipeline_update(pl, &row));
	assert_int_equal(asked.positions, before);
	row.moves = 12345;
	assert_true(mr_pipeline_update(pl, &row));
	assert_int_equal(asked.positions, before + 1);
	pl->calls.positions_pending = false;
	assert_true(mr_pipeline_update(pl, &row));
	assert_int_equal(asked.positions, before + 1);
}

/* Before the end of a partition that nobody reads any more is too old for the views. */
static void
ends_that_grow_old_are_asked_for(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	come_to_rest();
	answer(40, 16000);
	assert_false(asks_after(2000));
	assert_true(asks_after(4000));
	answer(40, -1);
	assert_true(asks_after(0));
}

/* Held, stopped, being assigned: the state may have to change. */
static void
any_other_state_asks(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN, STAGE(FAKE_STAGE, "", "10"));
	come_to_rest();
	for (MrFetchState each = MR_PARTITION_REVOKED; each < MR_PARTITION_STATES; each++)
	{
		part->state = each;
		assert_int_equal(asks_after(0),
						 each != MR_PARTITION_FLOWING && each != MR_PARTITION_REVOKED);
	}
	part->state = MR_PARTITION_FLOWING;
}

#define T(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(at_rest_it_asks_now_and_then),
		T(what_is_under_way_is_asked_for),
		T(a_new_end_is_reported),
		T(the_listing_has_news),
		T(ends_that_grow_old_are_asked_for),
		T(any_other_state_asks),
	};

	return cmocka_run_group_tests_name("ingestor/pipeline_rest", tests, NULL, NULL);
}
