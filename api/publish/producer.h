/*
 * The idempotent producer: one of librdkafka's for the process, and a thread that polls it. Delivery reports go back to
 * the event loop that sent the message, through its outbox. It is the circuit breaker towards Kafka, too: while no broker
 * can be reached, messages are refused at once; a broker that answers closes it.
 */
#ifndef MR_API_PRODUCER_H
#define MR_API_PRODUCER_H

#include <stdbool.h>
#include <stdint.h>

#include "api/publish/outbox.h"
#include "api/request/trace.h"
#include "common/options.h"

typedef struct MrProducerSetup
{
	const char *brokers;
	const MrStrings *properties;
	const char *topic;
	int64_t publish_ms; /* how long to wait for an acknowledgement */
} MrProducerSetup;

typedef struct MrProducerState
{
	int queued;   /* messages not acknowledged yet */
	bool is_open; /* the breaker: messages are refused */
	char trouble[512];
	uint64_t published;
	uint64_t failed;
} MrProducerState;

/* NULL, and a message, when a property is wrong. */
extern MrProducer *mr_producer_new(const MrProducerSetup *setup, char *error, size_t error_size)
	__attribute__((warn_unused_result));
extern void mr_producer_state(MrProducer *producer, MrProducerState *state);
/* Waits for what is queued, for flush_ms at most. After its outboxes have been freed. */
extern void mr_producer_free(MrProducer *producer, int flush_ms);

/*
 * Sends a message, with the trace in its headers; the texts are copied. NULL: refused, *failure says why, and `end` is not
 * called.
 */
extern MrDelivery *mr_outbox_publish(MrOutbox *outbox, const char *key, const void *payload,
									 size_t len, const MrTrace *trace, MrPublishEnd end,
									 void *owner, MrPublishFailure *failure);
typedef enum MrEndAnswer
{
	MR_END_KNOWN,
	MR_END_UNKNOWN, /* a broker cannot say, or none is asked: the breaker is open */
	MR_END_SILENT   /* the partition's leader has not answered in time, or there is none */
} MrEndAnswer;

/*
 * *end: the offset that the next message of the partition gets; 0 of one that the topic does not have. Waits for Kafka, as the
 * next one does: for a thread that may.
 */
extern MrEndAnswer mr_producer_end_of(MrProducer *producer, const char *topic, int32_t partition,
									  int64_t *end);
/* How many partitions the topic has, with the leader of each, -1 for none, which the caller frees. 0: no broker says. */
extern int mr_producer_leaders_of(MrProducer *producer, const char *topic, int32_t **leaders);
/* The thread that asks for those. */
extern struct MrEnds *mr_producer_ends(const MrProducer *producer);

#endif
