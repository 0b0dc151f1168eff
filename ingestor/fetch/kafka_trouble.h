/*
 * Why a pipeline cannot read its topic: what the Kafka client reports, checked by asking the cluster for the topic
 * (MR_ASK_TOPIC). The client is silent about a topic that does not exist, reports an error when it appears, and never that
 * it is over; so an error is kept until something of its kind works again:
 *
 *   kind        set                                          until
 *   broker      when no broker is left, or the question      the question is answered
 *               is not answered; with the last cause
 *   topic       at once                                      the question is answered
 *   group       at once                                      the group gives partitions
 *   partition   at once                                      the partition gives a message or its end, or is revoked
 *
 * Pure. Part of its consumer's counts, the main thread only. Zero-initialized: no trouble.
 */
#ifndef MR_INGESTOR_KAFKA_TROUBLE_H
#define MR_INGESTOR_KAFKA_TROUBLE_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/trouble.h"

/* In the order of what is shown when there are several. */
typedef enum MrKafkaTroubleKind
{
	MR_KAFKA_TROUBLE_BROKER,
	MR_KAFKA_TROUBLE_TOPIC,
	MR_KAFKA_TROUBLE_GROUP,
	MR_KAFKA_TROUBLE_PARTITION
} MrKafkaTroubleKind;

#define MR_KAFKA_TROUBLE_KINDS (MR_KAFKA_TROUBLE_PARTITION + 1)

typedef struct MrKafkaError
{
	rd_kafka_resp_err_t err;
	MrTrouble trouble; /* its text; "" = none */
} MrKafkaError;

typedef struct MrKafkaTrouble
{
	MrKafkaError kinds[MR_KAFKA_TROUBLE_KINDS];
	int32_t partition;  /* the last one in trouble */
	MrKafkaError cause; /* the last error of a connection, not refuted yet */
	bool news; /* an error came after the question was put: its answer is no answer to that */
} MrKafkaTrouble;

/* An error that the client reported; partition -1: of none. Returns the level to log it at (common/trouble.h). */
extern MrLogLevel mr_kafka_trouble_note(MrKafkaTrouble *trouble, rd_kafka_resp_err_t err,
										int32_t partition, const char *text);
/* The question for the topic is put; it failed (returns the level to log it at); it was answered. */
extern void mr_kafka_trouble_asking(MrKafkaTrouble *trouble);
extern MrLogLevel mr_kafka_trouble_unanswered(MrKafkaTrouble *trouble, rd_kafka_resp_err_t err,
											  const char *text);
extern void mr_kafka_trouble_answered(MrKafkaTrouble *trouble);
/* The group gave us partitions; took this one. */
extern void mr_kafka_trouble_joined(MrKafkaTrouble *trouble);
extern void mr_kafka_trouble_revoked(MrKafkaTrouble *trouble, int32_t partition);
/* Something is suspected or shown that an answer may refute. */
extern bool mr_kafka_trouble_wants_answer(const MrKafkaTrouble *trouble);
/* Of these, what is of the brokers, and not of a topic that they answer for. */
extern bool mr_kafka_trouble_doubts_brokers(const MrKafkaTrouble *trouble);
/* What is shown; NULL: nothing. */
extern const MrKafkaError *mr_kafka_trouble_shown(const MrKafkaTrouble *trouble);

/* The partition gave a message or its end. On the hot path. */
static inline void
mr_kafka_trouble_heard(MrKafkaTrouble *trouble, int32_t partition)
{
	if (trouble->kinds[MR_KAFKA_TROUBLE_PARTITION].trouble.text[0] != '\0')
		mr_kafka_trouble_revoked(trouble, partition);
}

#endif
