/* Partitions of several topics by number: both ways, against a model; and which topics are to be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ingestor/fetch/topics.h"

static MrTopics topics;

static int
several(void **state)
{
	(void) state;
	mr_topics_init(&topics, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	mr_topics_free(&topics);
	return 0;
}

/* Kafka's numbers are ours, whether or not the partition is known yet. */
static void
one_topic_needs_no_numbers(void **state)
{
	(void) state;
	mr_topics_free(&topics);
	mr_topics_init(&topics, "t");
	assert_int_equal(mr_topics_number_of(&topics, "t", 7), 7);
	assert_string_equal(mr_topics_name_of(&topics, 7), "t");
	assert_int_equal(mr_topics_partition_of(&topics, 7), 7);
	assert_int_equal(mr_topics_subscribed(&topics), 1);
	assert_true(mr_topics_is_read(&topics, 7));
}

static void
topics_come_and_go(void **state)
{
	char *names;

	(void) state;
	assert_int_equal(mr_topics_subscribed(&topics), 0);
	assert_false(mr_topics_subscribe(&topics, "", ""));
	assert_true(mr_topics_subscribe(&topics, "b,a.b", "a.b"));
	assert_false(mr_topics_subscribe(&topics, "a.b,b", "a.b"));
	assert_true(mr_topics_find(&topics, "a.b")->late);
	assert_false(mr_topics_find(&topics, "b")->late);
	assert_null(mr_topics_find(&topics, "a"));
	assert_true(mr_topics_number(&topics, 0, "a.b", 0));
	assert_true(mr_topics_subscribe(&topics, "b,a", "a.b"));
	assert_int_equal(mr_topics_subscribed(&topics), 2);
	names = mr_topics_names(&topics);
	assert_string_equal(names, "b,a");
	free(names);
	/* one that is gone keeps its number */
	assert_false(mr_topics_is_read(&topics, 0));
	assert_int_equal(mr_topics_number_of(&topics, "a.b", 0), 0);
	assert_true(mr_topics_subscribe(&topics, "a.b", ""));
	assert_true(mr_topics_is_read(&topics, 0));
}

static void
a_number_never_changes_its_meaning(void **state)
{
	(void) state;
	assert_true(mr_topics_number(&topics, 0, "a", 0));
	assert_true(mr_topics_number(&topics, 1, "b", 0));
	assert_true(mr_topics_number(&topics, 0, "a", 0));
	assert_false(mr_topics_number(&topics, 0, "b", 0));
	assert_false(mr_topics_number(&topics, 1, "b", 1));
	assert_false(mr_topics_number(&topics, 3, "b", 1)); /* 2 is missing */
	assert_false(mr_topics_number(&topics, -1, "a", 0));
	assert_false(mr_topics_number(&topics, 2, "a", -1));
	assert_int_equal(mr_topics_number_of(&topics, "c", 0), -1);
	assert_int_equal(mr_topics_number_of(&topics, "a", 1), -1);
	assert_int_equal(mr_topics_number_of(&topics, "a", -1), -1);
	assert_string_equal(mr_topics_name_of(&topics, 9), "");
	assert_int_equal(mr_topics_find(&topics, "a")->known, 1);
}

/* Topics with different numbers of partitions, found in any order. */
static void
both_ways_agree(void **state)
{
	enum
	{
		TOPICS = 60,
		NUMBERS = 2000
	};
	struct
	{
		int topic;
		int32_t partition;
	} model[NUMBERS];
	int known[TOPICS] = {0};
	char name[16];

	(void) state;
	srandom(28);
	for (int i = 0; i < NUMBERS; i++)
	{
		int topic = (int) (random() % (1 + random() % TOPICS));

		model[i].topic = topic;
		model[i].partition = known[topic]++;
		snprintf(name, sizeof(name), "t%d", topic);
		assert_true(mr_topics_number(&topics, i, name, model[i].partition));
	}
	for (int i = 0; i < NUMBERS; i++)
	{
		snprintf(name, sizeof(name), "t%d", model[i].topic);
		assert_int_equal(mr_topics_number_of(&topics, name, model[i].partition), i);
		assert_string_equal(mr_topics_name_of(&topics, i), name);
		assert_int_equal(mr_topics_partition_of(&topics, i), model[i].partition);
		assert_int_equal(mr_topics_find(&topics, name)->known, known[model[i].topic]);
		assert_int_equal(mr_topics_number_of(&topics, name, known[model[i].topic]), -1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_topic_needs_no_numbers, several, teardown),
		cmocka_unit_test_setup_teardown(topics_come_and_go, several, teardown),
		cmocka_unit_test_setup_teardown(a_number_never_changes_its_meaning, several, teardown),
		cmocka_unit_test_setup_teardown(both_ways_agree, several, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
