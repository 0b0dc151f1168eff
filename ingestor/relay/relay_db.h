/*
 * A relay's connection to PostgreSQL: the calls of millrace.relay_*(), in the relay's thread, which waits for each, but
 * not for ever (relay_query.h). Each returns false when it failed, with the reason in `error`; the connection has
 * to be closed then.
 */
#ifndef MR_INGESTOR_RELAY_DB_H
#define MR_INGESTOR_RELAY_DB_H

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ingestor/relay/relay_message.h"

#define MR_RELAY_ERROR 512

typedef struct MrRelayDb MrRelayDb;

/* A message of ours that was seen in the topic. */
typedef struct MrSighting
{
	char *id;
	int32_t partition; /* of the topic */
	int64_t offset;
} MrSighting;

/* Letters to be published; texts point into `result`. */
typedef struct MrLetters
{
	PGresult *result;
	MrLetter *items;
	int count;
} MrLetters;

/* Scan positions by partition of the topic, -1 where there is none. */
typedef struct MrPositions
{
	int64_t *items;
	int count;
} MrPositions;

/*
 * window NULL: of the dead letters. topic: that the relay reads and publishes to; when they are to go to another one, there
 * are none any more. stop: set by another thread, ends any wait.
 */
extern MrRelayDb *mr_relay_db_open(const char *dsn, const char *pipeline, const char *window,
								   const char *topic, const atomic_bool *stop, char *error)
	__attribute__((warn_unused_result));
extern void mr_relay_db_close(MrRelayDb *db);

/*
 * Of several ingestors one relays, as long as its session lives. A convenience: two at once would be
 * as correct, but keep fencing each other.
 */
extern bool mr_relay_db_lock(MrRelayDb *db, bool *locked, char *error)
	__attribute__((warn_unused_result));
/* Positions and letters of one snapshot; positions may be NULL. Both are freed by the caller. */
extern bool mr_relay_db_read(MrRelayDb *db, int limit, MrPositions *positions, MrLetters *letters,
							 char *error) __attribute__((warn_unused_result));
/* partition -1: marks without a position. Of the sightings only those of the partition count then. */
extern bool mr_relay_db_mark(MrRelayDb *db, int32_t partition, int64_t next_offset,
							 const MrSighting *sightings, int count, int64_t *marked, char *error)
	__attribute__((warn_unused_result));
/* text NULL: no trouble any more. */
extern bool mr_relay_db_report(MrRelayDb *db, const char *text, char *error)
	__attribute__((warn_unused_result));

extern void mr_positions_free(MrPositions *positions);
extern void mr_letters_free(MrLetters *letters);

#endif
