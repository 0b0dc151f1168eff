/*
 * producer.h: a Kafka producer for load tools: errors end the program, delivery is counted.
 *
 * Idempotent, so that a retry neither loses nor doubles an event: what the checker compares with is then
 * exactly what was sent. The partitioner is murmur2, the same as the Java client's: the same key goes to
 * the same partition whoever sends it.
 */
#ifndef LOADTEST_PRODUCER_H
#define LOADTEST_PRODUCER_H

#include <stdbool.h>
#include <stddef.h>
#include <librdkafka/rdkafka.h>

typedef struct Producer Producer;

typedef struct ProducerOptions
{
	const char *brokers;
	const char *topic;
	const char *transactional_id; /* NULL = no transactions */
	int linger_ms;
	const char **properties; /* "name=value", of librdkafka; they win over ours */
	int property_count;
} ProducerOptions;

typedef struct ProducerHeader
{
	const char *name;
	const char *value; /* NULL = a header without a value */
} ProducerHeader;

extern Producer *producer_open(const ProducerOptions *options);
/* payload NULL = tombstone, key NULL = no key, partition -1 = by key; waits while the queue is full */
extern void producer_send(Producer *producer, int partition, const char *key, const void *payload,
						  size_t length, const ProducerHeader *headers, int header_count);
extern void producer_poll(Producer *producer);
extern void producer_begin(Producer *producer);
extern void producer_end(Producer *producer, bool commit);
/* Waits for all deliveries; returns how many failed. Frees the producer. */
extern long producer_close(Producer *producer, long *delivered);

#endif
