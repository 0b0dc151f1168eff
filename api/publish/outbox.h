/*
 * What other threads report to an event loop about what it has asked Kafka for: each question is a delivery, which comes back
 * once, on the loop.
 */
#ifndef MR_API_OUTBOX_H
#define MR_API_OUTBOX_H

#include <event2/event.h>
#include <stdint.h>

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

/* partition and offset when MR_PUBLISH_OK; text says what Kafka said otherwise. On the loop of the outbox. */
typedef void (*MrPublishEnd)(void *owner, MrPublishFailure failure, int32_t partition,
							 int64_t offset, const char *text);

/* Of one event loop. */
extern MrOutbox *mr_outbox_new(MrProducer *producer, struct event_base *base);
extern MrProducer *mr_outbox_producer(const MrOutbox *outbox);
/* Its loop has ended; deliveries under way are forgotten. */
extern void mr_outbox_free(MrOutbox *outbox);

extern MrDelivery *mr_delivery_new(MrOutbox *outbox, MrPublishEnd end, void *owner);
/* It is not under way after all: `end` is not called. On the loop. */
extern void mr_delivery_cancel(MrDelivery *delivery);
/* The owner is no longer interested. On the loop. */
extern void mr_delivery_forget(MrDelivery *delivery);
/* From any thread; the delivery is the outbox's again. */
extern void mr_delivery_report(MrDelivery *delivery, MrPublishFailure failure, int32_t partition,
							   int64_t offset, const char *text);

#endif
