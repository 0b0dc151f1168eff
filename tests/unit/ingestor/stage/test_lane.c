/* A lane alone: when it asks for partitions, and what it reports. Its way through the pipeline: test_pipeline.c. */
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
#include "fake_pq.h"
#include "ingestor/stage/lane.h"

#define OPEN                                                                                       \
	{                                                                                              \
		"SELECT * FROM millrace.lane_open", FAKE_ROW, "lane incarnation segment segment_bytes",    \
			"7 99 millrace.segment_7_1 1000"                                                       \
	}
#define ASSIGN(values_)                                                                            \
	{                                                                                              \
		"SELECT * FROM millrace.assign", FAKE_ROW,                                                 \
			"partition epoch next_offset last_offset last_ts last_crc state seek_ts", values_      \
	}
#define STAGE(answer_, state_)                                                                     \
	{                                                                                              \
		"SELECT millrace.stage(7, 99, '{", answer_, state_, "10"                                   \
	}
#define SCRIPT(...)                                                                                \
	fake_pq_script((const FakeStep[]){__VA_ARGS__},                                                \
				   (int) (sizeof((const FakeStep[]){__VA_ARGS__}) / sizeof(FakeStep)))

static struct event_base *base;
/* The lane's clock, 0: the real one. For so many looks it shows a millisecond less. */
static int64_t tick;
static int looks;
static MrStageLane *lane;
static char heard[512]; /* what it reported, a word each */
static MrAssignedRow answer;
static int slot;

extern int64_t __real_mr_now_ms(void);
extern int64_t __wrap_mr_now_ms(void);

int64_t
__wrap_mr_now_ms(void)
{
	return tick == 0 ? __real_mr_now_ms() : looks-- > 0 ? tick - 1 : tick;
}

static void
note(const char *what, int64_t number)
{
	size_t len = strlen(heard);

	snprintf(heard + len, sizeof(heard) - len, "%s%s:%lld", len ? " " : "", what,
			 (long long) number);
}

static void
on_assigning(void *owner, MrStageLane *from, int32_t partition)
{
	(void) owner;
	(void) from;
	note("assigning", partition);
}

static void
on_assigned(void *owner, MrStageLane *from, const MrAssignedRow *row)
{
	(void) owner;
	(void) from;
	answer = *row;
	note("assigned", row->partition);
}

static void
on_unassigned(void *owner, MrStageLane *from, int32_t partition)
{
	(void) owner;
	note("unassigned", partition);
	mr_lane_assign(from, partition, mr_now_ms() + 60000);
}

static void
on_staged(void *owner, MrStageLane *from, int32_t partition, int64_t epoch, int64_t next)
{
	(void) owner;
	(void) from;
	assert_int_equal(partition, 1);
	assert_int_equal(epoch, 5);
	note("staged", next);
}

static void
on_fenced(void *owner, MrStageLane *from)
{
	(void) owner;
	assert_true(mr_lane_is_drained(from));
	note("fenced", from->number);
}

static void
on_lost(void *owner, MrStageLane *from)
{
	(void) owner;
	assert_true(mr_lane_is_drained(from));
	note("lost", from->number);
}

static void
on_blocked(void *owner, MrStageLane *from)
{
	(void) owner;
	note("blocked", from->number);
}

static void
on_room(void *owner, MrStageLane *from)
{
	(void) owner;
	note("room", from->number);
}

static const MrStageLaneEvents events = {on_assigning, on_assigned, on_unassigned, on_staged,
										 on_fenced,    on_lost,     on_blocked,    on_room};

static int
setup(void **state)
{
	const MrBatchLimits limits = {.events = 2, .bytes = 1 << 20};

	(void) state;
	mr_log_setup("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
	base = event_base_new();
	lane = mr_lane_new(base, "", "p", 1, &limits, &events, NULL);
	lane->backoff = (MrBackoff){.min_ms = 2, .max_ms = 4};
	heard[0] = '\0';
	slot = -1;
	tick = looks = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	mr_lane_free(lane);
	event_base_free(base);
	return 0;
}

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
open_lane(void)
{
	mr_lane_assign(lane, 1, mr_now_ms());
	turn_until(MR_LANE_IDLE, 2);
	assert_string_equal(heard, "assigning:1 assigned:1");
	assert_int_equal(answer.epoch, 5);
	assert_int_equal(answer.next_offset, 40);
	assert_int_equal(answer.last_offset, -1);
	assert_int_equal(answer.seek_ts, INT64_MIN);
	heard[0] = '\0';
}

static void
add(int64_t offset)
{
	MrCopyRow row = {.offset = offset, .partition = 1, .payload = "p", .payload_len = 1};

	mr_lane_add(lane, mr_lane_entry(lane, &slot, 1, 5, offset), &row, NULL);
}

static void
asks_for_what_is_due_in_one_call(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN("5 5 40 - - - active -"));
	mr_lane_assign(lane, 9, mr_now_ms() + 60000);
	mr_lane_assign(lane, 7, mr_now_ms());
	mr_lane_assign(lane, 5, mr_now_ms());
	mr_lane_assign(lane, 3, mr_now_ms());
	mr_lane_drop_assign(lane, 3);
	turn_until(MR_LANE_IDLE, 2);
	assert_string_equal(fake_pq.parameters, "p|7|{5,7}");
	assert_string_equal(heard, "assigning:5 assigning:7 assigned:5 unassigned:7");
	assert_int_equal(lane->request_count, 2);
}

/* Dropped and asked for again while the answer to the first request is on its way: the second is sent too. */
static void
a_repeated_request_is_sent_again(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN("1 5 40 - - - active -"), ASSIGN("1 6 40 - - - active -"));
	mr_lane_assign(lane, 1, mr_now_ms());
	turn_until(MR_LANE_ASSIGNING, 2);
	mr_lane_drop_assign(lane, 1);
	mr_lane_assign(lane, 1, mr_now_ms());
	turn_until(MR_LANE_IDLE, 3);
	assert_string_equal(heard, "assigning:1 assigned:1 assigning:1 assigned:1");
	assert_int_equal(answer.epoch, 6);
	assert_int_equal(lane->request_count, 0);
}

/* The clock ticks in the middle of pump(). */
static void
what_becomes_due_while_it_looks_is_not_forgotten(void **state)
{
	int64_t due = mr_now_ms() + 60000;

	(void) state;
	SCRIPT(OPEN, ASSIGN("1 5 40 - - - active -"), ASSIGN("2 6 10 - - - active -"));
	open_lane();
	tick = due;
	looks = 2;
	mr_lane_assign(lane, 2, due);
	turn_until(MR_LANE_IDLE, 3);
	assert_string_equal(heard, "assigning:2 assigned:2");
}

static void
what_becomes_due_while_it_looks_is_assigned_after_its_batch(void **state)
{
	int64_t due = mr_now_ms() + 60000;

	(void) state;
	SCRIPT(OPEN, ASSIGN("1 5 40 - - - active -"), ASSIGN("2 6 10 - - - active -"),
		   STAGE(FAKE_STAGE, ""), ASSIGN("1 7 41 - - - active -"));
	open_lane();
	mr_lane_taken(lane, true);
	add(40);
	tick = due;
	looks = 1;
	mr_lane_assign(lane, 1, due);
	mr_lane_assign(lane, 2, due - 1);
	turn_until(MR_LANE_IDLE, 5);
	assert_string_equal(heard, "assigning:2 assigned:2 staged:41 assigning:1 assigned:1");
}

static void
reports_staged_after_the_commit(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN("1 5 40 - - - active -"), STAGE(FAKE_STAGE, ""), STAGE(FAKE_STAGE, ""));
	open_lane();
	mr_lane_taken(lane, true);
	for (int i = 0; i < 4; i++)
		add(40 + i);
	assert_string_equal(heard, "blocked:1");
	turn_until(MR_LANE_IDLE, 4);
	assert_string_equal(heard, "blocked:1 staged:42 room:1 staged:44");
	assert_int_equal(lane->counts.batches, 2);
}

static void
moves_without_an_event(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN("1 5 40 - - - active -"), STAGE(FAKE_STAGE, ""));
	open_lane();
	mr_lane_move(lane, mr_lane_entry(lane, &slot, 1, 5, 40), 48);
	mr_lane_taken(lane, false);
	turn_until(MR_LANE_IDLE, 3);
	assert_string_equal(heard, "staged:48");
	assert_int_equal(lane->counts.events, 0);
}

/* The owner hears it before there is room: nothing of the old epoch may be added meanwhile. */
static void
fenced_and_lost_come_before_room(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN("1 5 40 - - - active -"), STAGE(FAKE_STAGE_ERROR, "MR001"));
	open_lane();
	mr_lane_taken(lane, true);
	for (int i = 0; i < 4; i++)
		add(40 + i);
	turn_until(MR_LANE_IDLE, 3);
	assert_string_equal(heard, "blocked:1 fenced:1 room:1");
	heard[0] = '\0';
	mr_lane_reset(lane, "test");
	assert_string_equal(heard, "lost:1");
	assert_int_equal(lane->writer.state, MR_LANE_CLOSED);
}

/* Why it was lost is kept while it is tried again, and logged again only when it changes. */
static void
keeps_the_reason_until_it_works(void **state)
{
	(void) state;
	SCRIPT(OPEN, ASSIGN("1 5 40 - - - active -"), STAGE(FAKE_STAGE_CUT, ""), OPEN,
		   ASSIGN("1 5 40 - - - active -"), STAGE(FAKE_STAGE, ""));
	open_lane();
	add(40);
	fake_pq.error = "first";
	mr_lane_taken(lane, false);
	turn_until(MR_LANE_CLOSED, 3);
	assert_non_null(strstr(lane->trouble.text, "first"));
	fake_pq.refuse = true;
	fake_pq.error = "second";
	mr_lane_assign(lane, 1, mr_now_ms());
	while (strstr(lane->trouble.text, "second") == NULL)
		event_base_loop(base, EVLOOP_ONCE);
	fake_pq.refuse = false;
	mr_lane_assign(lane, 1, mr_now_ms());
	turn_until(MR_LANE_IDLE, 5);
	assert_true(mr_trouble_is_set(&lane->trouble));
	slot = -1;
	add(40);
	mr_lane_taken(lane, false);
	turn_until(MR_LANE_IDLE, 6);
	assert_false(mr_trouble_is_set(&lane->trouble));
}

/* A server that does not answer is a lane that stays in its state. */
static void
knows_how_long_it_waits(void **state)
{
	int64_t now;

	(void) state;
	SCRIPT(OPEN, ASSIGN("1 5 40 - - - active -"), STAGE(FAKE_SILENCE, ""));
	open_lane();
	assert_false(mr_lane_writer_is_stuck(&lane->writer, mr_now_ms() + 10 * MR_LANE_STUCK_MS));
	add(40);
	mr_lane_taken(lane, false);
	turn_until(MR_LANE_STAGING, 3);
	now = mr_now_ms();
	assert_in_range(mr_lane_writer_state_ms(&lane->writer, now + 1000), 1000, 6000);
	assert_false(mr_lane_writer_is_stuck(&lane->writer, now));
	assert_true(mr_lane_writer_is_stuck(&lane->writer, now + MR_LANE_STUCK_MS + 1));
}

#define T(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(asks_for_what_is_due_in_one_call),
		T(a_repeated_request_is_sent_again),
		T(what_becomes_due_while_it_looks_is_not_forgotten),
		T(what_becomes_due_while_it_looks_is_assigned_after_its_batch),
		T(reports_staged_after_the_commit),
		T(moves_without_an_event),
		T(keeps_the_reason_until_it_works),
		T(knows_how_long_it_waits),
		T(fenced_and_lost_come_before_room),
	};

	return cmocka_run_group_tests_name("ingestor/stage/lane", tests, NULL, NULL);
}
