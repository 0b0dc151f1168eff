/*
 * Reading the DLQ topic, read_committed: which letters are in it already, and up to where it was read.
 * Blocking, in the relay's thread.
 */
#ifndef MR_INGESTOR_RELAY_SCAN_H
#define MR_INGESTOR_RELAY_SCAN_H

#include "ingestor/relay/relay_kafka.h"

/*
 * Reports what was read: messages with an id, and then how far. False ends the scan. `sightings` are
 * those since the last call; positions[p] is the next offset to read, of all `count` partitions.
 */
typedef bool (*MrScanned)(void *owner, const int64_t *positions, int count,
						  const MrSighting *sightings, int sighting_count, char *error);

/*
 * Reads from positions (-1: the beginning) to what is the end now, open transactions of others
 * included: what lies behind them must be seen too. positions has room for all partitions.
 */
extern bool mr_relay_scan(MrRelayKafka *kafka, int64_t *positions, MrScanned scanned, void *owner,
						  char *error) __attribute__((warn_unused_result));
/* Reads on until everything published has been seen. */
extern bool mr_relay_scan_published(MrRelayKafka *kafka, int64_t *positions, MrScanned scanned,
									void *owner, char *error) __attribute__((warn_unused_result));

#endif
