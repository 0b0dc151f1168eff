/*
 * The idempotent producer: one of librdkafka's for the process, and a thread that polls it. Delivery reports go back to
 * the event loop that sent the message, through its outbox. It is the circuit breaker towards Kafka, too: while no broker
 * can be reached, messages are refused at once; a broker that answers closes it.
 */
#ifndef MR_API_PRODUCER_H
#define MR_API_PRODUCER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/request/trace.h"
#include "common/options.h"

typedef struct MrProducer MrProducer;
typedef struct MrOutbox MrOutbox;
typedef struct MrDelivery MrDelivery;

typedef enum MrPublishFailure
{
	MR_PUBLISH_OK,
	MR_PUBLISH_DOWN,    /* no broker, or no topic: not published */
	MR_PUBLISH_BUSY,    /* too many messages wait: not published */
	MR_PUBLISH_LARGE,   /* larger than Kafka takes: not published */
	MR_PUBLISH_FAILED,  /* refused by the broker: not published */
	MR_PUBLISH_UNKNOWN, /* no acknowledgement in time: it may be published, or not */
} MrPublishFailure;

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

/* partition and offset when MR_PUBLISH_OK; text says what Kafka said otherwise. On the loop of the outbox. */
typedef void (*MrPublishEnd)(void *owner, MrPublishFailure failure, int32_t partition,
							 int64_t offset, const char *text);

/* NULL, and a message, when a property is wrong. */
extern MrProducer *mr_producer_new(const MrProducerSetup *setup, char *error, size_t error_size)
	__attribute__((warn_unused_result));
extern void mr_producer_state(MrProducer *producer, MrProducerState *state);
/* Waits for what is queued, for flush_ms at most. After its outboxes have been freed. */
extern void mr_producer_free(MrProducer *producer, int flush_ms);

/* Of one event loop. */
extern MrOutbox *mr_outbox_new(MrProducer *producer, struct event_base *base);
/*
 * Sends a message, with the trace in its headers; the texts are copied. NULL: refused, *failure says why, and `end` is not
 * called.
 */
extern MrDelivery *mr_outbox_publish(MrOutbox *outbox, const char *key, const void *payload,
									 size_t len, const MrTrace *trace, MrPublishEnd end,
									 void *owner, MrPublishFailure *failure);
/* The owner is no longer interested: the message is published all the same. */
extern void mr_delivery_forget(MrDelivery *delivery);
/* Its loop has ended; deliveries under way are forgotten. */
extern void mr_outbox_free(MrOutbox *outbox);

#endif
