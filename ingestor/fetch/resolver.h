/*
 * One helper thread that puts questions to brokers (broker.h), so that the main loop never waits. Answers arrive
 * on the main thread. A question keeps its rd_kafka_t in use until it is answered: the asker counts.
 */
#ifndef MR_INGESTOR_RESOLVER_H
#define MR_INGESTOR_RESOLVER_H

#include <event2/event.h>
#include <stdbool.h>

#include "ingestor/fetch/broker.h"

typedef struct MrResolver MrResolver;

extern MrResolver *mr_resolver_new(struct event_base *base) __attribute__((warn_unused_result));
/* Takes a copy of the question. */
extern void mr_resolver_ask(MrResolver *resolver, const MrQuestion *question);
/* A question is under way or waits: freeing it now would wait for the broker. */
extern bool mr_resolver_is_busy(MrResolver *resolver);
/* Waits for the question under way, drops the rest. */
extern void mr_resolver_free(MrResolver *resolver);

#endif
