/*
 * What is asked of a broker: the topic, where partitions begin, offsets by time, watermarks, retention. librdkafka has only
 * blocking calls for these (up to 5 s each), so they are made in the resolver's thread (resolver.h).
 */
#ifndef MR_INGESTOR_BROKER_H
#define MR_INGESTOR_BROKER_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum MrQuestionKind
{
	MR_ASK_STARTS, /* where partitions from `first` on begin; `time` for partition 0 on if first = 0 */
	MR_ASK_WATERMARKS, /* first and end offset of partition `first` */
	MR_ASK_TIME,       /* first offset of partition `first` at or after `time` */
	MR_ASK_RETENTION,  /* of the topic, in `low` */
	MR_ASK_TOPIC, /* may we read it, or all of them: nothing else but `ok`, or `err`, `error` and in `topic` the one that is meant */
	MR_ASK_TOPICS /* which ones there are: `names` */
} MrQuestionKind;

typedef struct MrQuestion
{
	MrQuestionKind kind;
	rd_kafka_t *rk;
	char *topic;    /* of MR_ASK_TOPIC maybe several, with commas between */
	int32_t number; /* of the partition, the asker's; comes back with the answer */
	int32_t first;
	int64_t time;  /* ms since 1970, or MR_START_EARLIEST/LATEST */
	bool is_first; /* of MR_ASK_TOPIC: nothing is wrong with it so far */
	bool
		hurry; /* of MR_ASK_TOPIC, set by the resolver: others had no answer, so this one gets little time */
	uint32_t tag; /* the asker's; comes back with the answer */
	void *owner;
	void (*answer)(struct MrQuestion *question); /* on the main thread */

	/* the answer */
	bool ok;
	rd_kafka_resp_err_t err; /* of MR_ASK_TOPIC and MR_ASK_STARTS */
	char error[256];
	int count; /* partitions answered for, from `first` on */
	int64_t *offsets;
	int64_t low, high;
	char *names; /* with commas between */

	struct MrQuestion *next;
} MrQuestion;

/* One request answers both: they differ in the partition only. */
extern bool mr_broker_joins(const MrQuestion *question, const MrQuestion *other);
/* Fills in the answers of a list of questions that join the first. Blocks. */
extern void mr_broker_answer(MrQuestion *questions);

#endif
