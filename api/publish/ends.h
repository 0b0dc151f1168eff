/*
 * Where partitions end in Kafka: librdkafka waits for the answer, so a thread of the process asks, for one partition after the
 * other. A broker that is silent is waited for once, whichever of its partitions are asked for, and after the others; while these
 * do not end, for half of the time at most, each silent one in its turn.
 */
#ifndef MR_API_ENDS_H
#define MR_API_ENDS_H

#include "api/publish/producer.h"

typedef struct MrEnds MrEnds;

#define MR_ENDS_MAX 1000 /* that are not answered */

/* NULL: there is no thread. */
extern MrEnds *mr_ends_new(MrProducer *producer) __attribute__((warn_unused_result));
/*
 * The end is reported as the offset, MR_PUBLISH_DOWN when no broker says, or others before it took too long.
 * NULL: too many wait. The topic is copied.
 */
extern MrDelivery *mr_ends_ask(MrEnds *ends, MrOutbox *outbox, const char *topic, int32_t partition,
							   MrPublishEnd end, void *owner);
/* What waits is reported as MR_PUBLISH_DOWN. */
extern void mr_ends_free(MrEnds *ends);

#endif
