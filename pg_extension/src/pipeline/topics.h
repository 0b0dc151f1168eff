/*
 * topics.h: which partition of which topic a partition of a pipeline is.
 *
 * A partition of a pipeline is one number. Of a pipeline with one topic it is Kafka's; with several it is looked up in
 * millrace.topic_partition, which only grows, so that a copy is kept as long as the definition is.
 */
#ifndef MR_TOPICS_H
#define MR_TOPICS_H

#include "postgres.h"

typedef struct MrPlace
{
	Datum topic; /* text */
	int32 partition;
} MrPlace;

typedef struct MrTopics
{
	MemoryContext context;
	int32 pipeline_id;
	bool several;
	Datum source;    /* text: the topic, or what the pipeline calls its topics */
	int count;       /* of places */
	MrPlace *places; /* by number; of several topics */
	int max_places;
} MrTopics;

/* Both in the current memory context: those of a pipeline, which exists; one that stands for any. */
extern MrTopics *mr_topics_load(int32 pipeline_id);
extern MrTopics *mr_topics_single(const char *topic);

/* Reads places that were added since. */
extern void mr_topics_refresh(MrTopics *topics);

/* In a transaction. A number that there is not has itself as partition, and what the pipeline calls its topics as topic. */
static inline MrPlace
mr_topics_place(MrTopics *topics, int32 number)
{
	if (topics->several && number >= topics->count)
		mr_topics_refresh(topics);
	if (topics->several && number >= 0 && number < topics->count)
		return topics->places[number];
	return (MrPlace){topics->source, number};
}

/* For messages: `3`, or `3 of topic "a"`, in the current memory context. The first reads no tables, the second does. */
extern const char *mr_topics_text(const MrTopics *topics, int32 number);
extern const char *mr_partition_text(int32 pipeline_id, int32 number);

#endif /* MR_TOPICS_H */
