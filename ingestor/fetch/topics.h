/*
 * The topics of a pipeline, and its partitions by number. Everywhere in the ingestor, and in the catalogue, a partition
 * is a number. Of a pipeline with one topic it is Kafka's; with several the catalogue numbers them as they are found
 * (millrace.topic_partitions()), and here is which number is which partition of which topic.
 *
 * Pure. Part of its pipeline, the main thread only.
 */
#ifndef MR_INGESTOR_TOPICS_H
#define MR_INGESTOR_TOPICS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct MrTopic
{
	char *name;
	bool subscribed;  /* it is to be read */
	bool late;        /* it appeared when the pipeline had begun: it is read from its beginning */
	int known;        /* partitions that have a number */
	int32_t *numbers; /* of these */
	int cap;
} MrTopic;

/* What a number stands for. */
typedef struct MrTopicPlace
{
	int topic; /* in items */
	int32_t partition;
} MrTopicPlace;

typedef struct MrTopics
{
	bool several;
	MrTopic *items;
	int *order; /* of items, by name */
	int count;
	int last;             /* the one that was found last */
	MrTopicPlace *places; /* of several topics, by number */
	int place_count;
	int place_cap;
} MrTopics;

/* single NULL: several, none so far. */
extern void mr_topics_init(MrTopics *topics, const char *single);
extern void mr_topics_free(MrTopics *topics);

/* Of several: which are to be read, and which of them are late; names with commas between. True: others than before. */
extern bool mr_topics_subscribe(MrTopics *topics, const char *names, const char *late);
extern int mr_topics_subscribed(const MrTopics *topics);
/* The names of those, with commas between; the caller frees it. */
extern char *mr_topics_names(const MrTopics *topics);
/* The topic of this name, NULL: there is none. */
extern const MrTopic *mr_topics_find(MrTopics *topics, const char *name);

/* Of several, in the order of their numbers: partition `number` is this. False: it is another one, or one before it is missing. */
extern bool mr_topics_number(MrTopics *topics, int32_t number, const char *topic,
							 int32_t partition);

/* The number of a partition, -1: it has none yet. On the hot path. */
extern int32_t mr_topics_number_of(MrTopics *topics, const char *topic, int32_t partition);
/* What Kafka calls a number. */
extern const char *mr_topics_name_of(const MrTopics *topics, int32_t number);
extern int32_t mr_topics_partition_of(const MrTopics *topics, int32_t number);
/* Its topic is to be read. */
extern bool mr_topics_is_read(const MrTopics *topics, int32_t number);

#endif
