/*
 * A relay's side of Kafka: a producer, and a reader of the DLQ topic (relay_scan.h reads it). Blocking
 * calls of librdkafka in the relay's thread, in slices, so that `stop` is noticed.
 *
 * Closed and opened again after every failure: how a transaction that failed half way ended is found out
 * by fencing it and reading the topic, in one way only.
 */
#ifndef MR_INGESTOR_RELAY_KAFKA_H
#define MR_INGESTOR_RELAY_KAFKA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/options.h"
#include "ingestor/relay/relay_db.h"
#include "ingestor/relay/relay_message.h"

typedef struct MrRelayTarget
{
	const char *brokers;
	const MrStrings *properties;
	const char *topic;
	const char *transactional_id; /* NULL: at_least_once, without transactions */
	const char *former_ids;       /* it had before, separated by commas: fenced, too */
	const char *source_topic;
	int source_partitions; /* known, should the source topic be gone */
	const atomic_bool *stop;
} MrRelayTarget;

typedef struct MrRelayKafka MrRelayKafka;

/* Where a message of the batch went; offset -1: not delivered. */
typedef struct MrPlace
{
	int32_t partition;
	int64_t offset;
} MrPlace;

/* Are the user's properties fit for it? */
extern bool mr_relay_kafka_check(const MrStrings *properties, char *error, size_t error_size);

/* Creates the topic when it is missing, and fences who was here before, under any of its ids. */
extern MrRelayKafka *mr_relay_kafka_open(const MrRelayTarget *target, char *error)
	__attribute__((warn_unused_result));
extern void mr_relay_kafka_close(MrRelayKafka *kafka);

extern int mr_relay_kafka_partitions(const MrRelayKafka *kafka);
/*
 * All of them in one transaction, if there are any here: positions is how far the topic was read then, NULL
 * without transactions. places has room for all. too_large: the topic does not take one of them.
 */
extern bool mr_relay_kafka_publish(MrRelayKafka *kafka, const MrLetters *letters, MrLetterForm form,
								   const int64_t *positions, MrPlace *places, bool *too_large,
								   char *error) __attribute__((warn_unused_result));

#endif
