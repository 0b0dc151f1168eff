/*
 * Questions to a broker for which librdkafka has only blocking calls (metadata, offsets by time,
 * watermarks), asked by one helper thread so that the main loop never waits. Answers arrive on
 * the main thread. A question keeps its rd_kafka_t in use until it is answered: the asker counts.
 */
#ifndef MR_INGESTOR_RESOLVER_H
#define MR_INGESTOR_RESOLVER_H

#include <event2/event.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum MrQuestionKind
{
	MR_ASK_STARTS, /* where partitions from `first` on begin; `time` for partition 0 on if first = 0 */
	MR_ASK_WATERMARKS, /* first and end offset of partition `first` */
	MR_ASK_TIME,       /* first offset of partition `first` at or after `time` */
	MR_ASK_RETENTION   /* of the topic, in `low` */
} MrQuestionKind;

typedef struct MrQuestion
{
	MrQuestionKind kind;
	rd_kafka_t *rk;
	char *topic;
	int32_t first;
	int64_t time; /* ms since 1970, or MR_START_EARLIEST/LATEST */
	uint64_t ticket;
	void *owner;
	void (*answer)(struct MrQuestion *question); /* on the main thread */

	/* the answer */
	bool ok;
	char error[256];
	int count; /* partitions answered for, from `first` on */
	int64_t *offsets;
	int64_t low, high;

	struct MrQuestion *next;
} MrQuestion;

typedef struct MrResolver MrResolver;

extern MrResolver *mr_resolver_new(struct event_base *base) __attribute__((warn_unused_result));
/* Takes a copy of the question. */
extern void mr_resolver_ask(MrResolver *resolver, const MrQuestion *question);
/* A question is under way or waits: freeing it now would wait for the broker. */
extern bool mr_resolver_is_busy(MrResolver *resolver);
/* Answers what it is at, drops the rest. */
extern void mr_resolver_free(MrResolver *resolver);

#endif
