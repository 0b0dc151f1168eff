/* Questions where partitions end, over a producer that is scripted: who hears of which answer, and who of none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#include "api/publish/ends.h"
#include "common/buffer.h"
#include "common/eventloop.h"

#define FIRST     9 /* the partition whose question is answered when the test says so */
#define SILENT    0 /* the one that nobody says anything of */
#define APART     6 /* one of another broker that does not answer */
#define HELD_UP   7 /* one whose broker does not answer, with all others from here to FIRST */
#define QUESTIONS (MR_ENDS_MAX + 1)
#define TOO_LONG  2001
#define TURN      1000

static struct event_base *base;
static MrOutbox *outbox;
static MrEnds *ends;
static sem_t is_asked; /* the first */
static sem_t may_answer;
static int calls[FIRST + 1]; /* by partition; of the thread, until its last report */
static int last[FIRST + 1];  /* the number of its last call, of all_calls */
static int all_calls;
static int asked_leaders;
static atomic_bool is_held_up;
static _Atomic int64_t now;
static int answered;
static struct
{
	MrPublishFailure failure;
	int64_t end;
} answers[QUESTIONS];
static int numbers[QUESTIONS];

/* Those from HELD_UP on are of a broker of their own, and so is APART. */
int
mr_producer_leaders_of(MrProducer *producer, const char *topic, int32_t **leaders)
{
	(void) producer, (void) topic;
	*leaders = mr_calloc(FIRST + 1, sizeof(**leaders));
	for (int i = 0; i <= FIRST; i++)
		(*leaders)[i] = i == FIRST ? 3 : i >= HELD_UP ? 2 : i == APART ? 4 : 1;
	asked_leaders++;
	return FIRST + 1;
}

MrEndAnswer
mr_producer_end_of(MrProducer *producer, const char *topic, int32_t partition, int64_t *end)
{
	(void) producer;
	calls[partition]++;
	last[partition] = ++all_calls;
	if (partition == FIRST)
	{
		sem_post(&is_asked);
		sem_wait(&may_answer);
	}
	*end = 100 * partition + (strcmp(topic, "other") == 0);
	if (partition >= APART && partition < FIRST && is_held_up)
		return MR_END_SILENT;
	return partition != SILENT ? MR_END_KNOWN : MR_END_UNKNOWN;
}

int64_t
mr_now_ms(void)
{
	return atomic_load(&now);
}

/* The end begins: its thread hears of it, and is waited for. */
int __real_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_join(pthread_t thread, void **result);

int
__wrap_pthread_join(pthread_t thread, void **result)
{
	sem_post(&may_answer);
	return __real_pthread_join(thread, result);
}

static void
on_end(void *owner, MrPublishFailure failure, int32_t partition, int64_t end, const char *text)
{
	int number = *(int *) owner;

	(void) partition, (void) text;
	answers[number].failure = failure;
	answers[number].end = end;
	answered++;
}

static bool
ask(int number, const char *topic, int32_t partition)
{
	numbers[number] = number;
	return mr_ends_ask(ends, outbox, topic, partition, on_end, &numbers[number]) != NULL;
}

/* Question 0 is being asked: what comes now waits for its answer. */
static int
set_up(void **state)
{
	(void) state;
	memset(calls, 0, sizeof(calls));
	answered = asked_leaders = 0;
	atomic_store(&is_held_up, false);
	atomic_store(&now, TOO_LONG);
	sem_init(&is_asked, 0, 0);
	sem_init(&may_answer, 0, 0);
	base = event_base_new();
	outbox = mr_outbox_new(NULL, base);
	ends = mr_ends_new(NULL);
	assert_true(ask(0, "events", FIRST)); /* a topic is known from its first question on */
	sem_wait(&is_asked);
	return 0;
}

static void
answer_all(int count)
{
	sem_post(&may_answer);
	while (answered < count)
		event_base_loop(base, EVLOOP_ONCE);
}

static int
tear_down(void **state)
{
	(void) state;
	mr_ends_free(ends);
	mr_outbox_free(outbox);
	event_base_free(base);
	sem_destroy(&is_asked);
	sem_destroy(&may_answer);
	return 0;
}

/* It is asked once for all that wait, and the others are asked all the same. */
static void
a_silent_partition_is_none_of_the_others(void **state)
{
	static const struct
	{
		const char *topic;
		int partition;
	} questions[] = {{"events", SILENT}, {"events", 1}, {"events", SILENT},
					 {"other", 1},       {"events", 2}, {"events", 1}};
	const int count = (int) (sizeof(questions) / sizeof(questions[0]));

	(void) state;
	for (int i = 0; i < count; i++)
		assert_true(ask(1 + i, questions[i].topic, questions[i].partition));
	answer_all(1 + count);
	for (int i = 0; i < count; i++)
	{
		int partition = questions[i].partition;

		assert_int_equal(answers[1 + i].failure,
						 partition == SILENT ? MR_PUBLISH_DOWN : MR_PUBLISH_OK);
		if (partition != SILENT)
			assert_int_equal(answers[1 + i].end,
							 100 * partition + (strcmp(questions[i].topic, "other") == 0));
	}
	assert_int_equal(calls[SILENT], 1);
	assert_int_equal(calls[1], 2); /* one of each topic */
	assert_int_equal(calls[2], 1);
}

/*
 * One question finds a broker silent for all that wait for its partitions; those that come next are asked after the others,
 * until it says something.
 */
static void
a_silent_broker_is_asked_once(void **state)
{
	static const int partitions[] = {HELD_UP, HELD_UP + 1, 1, HELD_UP, 2, HELD_UP + 1};
	const int count = (int) (sizeof(partitions) / sizeof(partitions[0]));

	(void) state;
	atomic_store(&is_held_up, true);
	for (int i = 0; i < count; i++)
		assert_true(ask(1 + i, "events", partitions[i]));
	answer_all(1 + count);
	for (int i = 0; i < count; i++)
		assert_int_equal(answers[1 + i].failure,
						 partitions[i] >= HELD_UP ? MR_PUBLISH_DOWN : MR_PUBLISH_OK);
	assert_int_equal(calls[HELD_UP], 1);
	assert_int_equal(calls[HELD_UP + 1], 0);
	/* known to be silent, it comes last */
	assert_true(ask(0, "events", FIRST));
	sem_wait(&is_asked);
	assert_true(ask(1, "events", HELD_UP));
	assert_true(ask(2, "events", 2));
	answer_all(4 + count);
	assert_int_equal(answers[1].failure, MR_PUBLISH_DOWN);
	assert_int_equal(answers[2].failure, MR_PUBLISH_OK);
	assert_true(last[2] < last[HELD_UP]);
	/* it answers again, and is asked for each of its partitions */
	atomic_store(&is_held_up, false);
	for (int i = 0; i < 2; i++)
	{
		assert_true(ask(1 + i, "events", HELD_UP + i));
		while (answered < 5 + count + i)
			event_base_loop(base, EVLOOP_ONCE);
		assert_int_equal(answers[1 + i].failure, MR_PUBLISH_OK);
	}
	assert_int_equal(asked_leaders, 2); /* again after it was silent: they may have moved */
}

/* One more question that is another's waits at each moment: those of a silent broker are never alone. */
static void
go_on_asking(int times)
{
	for (int i = 0; i < times; i++)
	{
		assert_true(ask(0, "events", FIRST));
		sem_post(&may_answer);
		sem_wait(&is_asked);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
}

/* Each of them in its turn, once in a while. */
static void
silent_brokers_have_their_turn(void **state)
{
	static const int partitions[] = {HELD_UP, APART};

	(void) state;
	atomic_store(&is_held_up, true);
	for (int i = 0; i < 2; i++)
		assert_true(ask(1 + i, "events", partitions[i]));
	answer_all(3);
	assert_true(ask(0, "events", FIRST));
	sem_wait(&is_asked);
	for (int round = 0; round < 4; round++)
	{
		memset(calls, 0, sizeof(calls));
		for (int i = 0; i < 2; i++)
			assert_true(ask(1 + i, "events", partitions[i]));
		go_on_asking(20);
		assert_int_equal(calls[HELD_UP] + calls[APART], 0); /* the time is the others' */
		atomic_fetch_add(&now, TURN);
		go_on_asking(20);
		assert_int_equal(calls[partitions[round % 2]], 1);
		assert_int_equal(calls[partitions[(round + 1) % 2]], 0);
	}
	/* it answers again: all that wait hear of it, however many others come */
	atomic_store(&is_held_up, false);
	answers[1].failure = answers[2].failure = MR_PUBLISH_DOWN;
	for (int i = 0; i < 2; i++)
		assert_true(ask(1 + i, "events", partitions[i]));
	atomic_fetch_add(&now, TURN);
	go_on_asking(20);
	assert_int_equal(answers[1].failure, MR_PUBLISH_OK);
	assert_int_equal(answers[2].failure, MR_PUBLISH_OK);
	sem_post(&may_answer);
}

/* It is not its turn in time: its client hears that nobody says. */
static void
a_silent_one_does_not_wait_for_ever(void **state)
{
	(void) state;
	atomic_store(&is_held_up, true);
	assert_true(ask(1, "events", HELD_UP));
	answer_all(2);
	assert_true(ask(0, "events", FIRST));
	sem_wait(&is_asked);
	assert_true(ask(1, "events", HELD_UP));
	answers[1].failure = MR_PUBLISH_OK;
	go_on_asking(20);
	atomic_fetch_add(&now, TOO_LONG);
	go_on_asking(20);
	assert_int_equal(answers[1].failure, MR_PUBLISH_DOWN);
	assert_int_equal(calls[HELD_UP], 1);
	sem_post(&may_answer);
}

/* Those before it have taken too long: nobody asks Kafka any more. */
static void
what_has_waited_too_long_is_not_asked(void **state)
{
	(void) state;
	assert_true(ask(1, "events", 1));
	assert_true(ask(2, "events", 2));
	atomic_fetch_add(&now, TOO_LONG);
	assert_true(ask(3, "events", 2));
	answer_all(4);
	assert_int_equal(answers[0].failure, MR_PUBLISH_OK);
	assert_int_equal(answers[1].failure, MR_PUBLISH_DOWN);
	assert_int_equal(answers[2].failure, MR_PUBLISH_DOWN);
	assert_int_equal(answers[3].failure, MR_PUBLISH_OK); /* it is not old */
	assert_int_equal(calls[1], 0);
	assert_int_equal(calls[2], 1);
}

static void
at_the_end_nothing_is_asked_any_more(void **state)
{
	(void) state;
	assert_true(ask(1, "events", 1));
	assert_true(ask(2, "events", 2));
	mr_ends_free(ends);
	ends = NULL;
	while (answered < 3)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(answers[1].failure, MR_PUBLISH_DOWN);
	assert_int_equal(answers[2].failure, MR_PUBLISH_DOWN);
	assert_int_equal(calls[1] + calls[2], 0);
}

/* The one that is being asked is among them. */
static void
there_are_never_too_many(void **state)
{
	(void) state;
	for (int i = 1; i < MR_ENDS_MAX; i++)
		assert_true(ask(i, "events", 1 + i % 3));
	assert_false(ask(MR_ENDS_MAX, "events", 1));
	answer_all(MR_ENDS_MAX);
	assert_int_equal(calls[1] + calls[2] + calls[3], 3);
	assert_true(ask(1, "events", 1));
	while (answered < MR_ENDS_MAX + 1)
		event_base_loop(base, EVLOOP_ONCE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_silent_partition_is_none_of_the_others, set_up,
										tear_down),
		cmocka_unit_test_setup_teardown(a_silent_broker_is_asked_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(silent_brokers_have_their_turn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_silent_one_does_not_wait_for_ever, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_has_waited_too_long_is_not_asked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(at_the_end_nothing_is_asked_any_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(there_are_never_too_many, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("api/publish/ends", tests, NULL, NULL);
}
