/*
 * Which broker leads which partition, as Kafka said last, and which brokers were silent when they were asked last. What it says
 * may be old: it is for the order of questions, and for which of them are one broker's. One thread's.
 */
#ifndef MR_API_LEADERS_H
#define MR_API_LEADERS_H

#include <stdbool.h>

#include "api/publish/producer.h"

#define MR_LEADER_NONE    (-1) /* Kafka says that the partition has none */
#define MR_LEADER_UNKNOWN (-2)

typedef struct MrLeaders MrLeaders;

extern MrLeaders *mr_leaders_new(MrProducer *producer);
extern void mr_leaders_free(MrLeaders *leaders);
/* A broker's id, or one of those above. The first question of a topic waits for Kafka. */
extern int32_t mr_leader_of(MrLeaders *leaders, const char *topic, int32_t partition);
/* Kafka is asked again for the topic. */
extern void mr_leaders_renew(MrLeaders *leaders, const char *topic);
/* When it was found silent last; 0: it is not. */
extern int64_t mr_leader_silent_ms(const MrLeaders *leaders, int32_t leader);
extern void mr_leader_set_silent(MrLeaders *leaders, int32_t leader, bool is_silent);

#endif
