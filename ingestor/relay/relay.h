/*
 * The relay of one pipeline's letters, its dead letters or the values of one of its windows: takes them to their topic in Kafka, each once. A thread of its
 * own, because the transaction calls of librdkafka block, with its own connection to PostgreSQL.
 *
 *   LOCKING --lock--> READY --a letter waits--> fence, read the topic, mark --> publish, read, mark
 *      ^  |             ^ |_______________________no more letters___________________|
 *      |  |               |                                                         |
 *      |  |_another has it_|_none for a while__> the end: it begins again when a letter waits
 *      |________________ any failure: everything is closed, then backoff ___________|
 *
 * The table says what must be in the topic, the topic what is: a letter is marked when it was read there,
 * and published only after everything there was read. The fence (a fixed transactional.id) is what
 * makes "everything" final. So a crash at any point, a second relay, or a database that went back in
 * time only read more.
 *
 * The main thread calls the functions below; counters are atomic.
 */
#ifndef MR_INGESTOR_RELAY_H
#define MR_INGESTOR_RELAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ingestor/control/rows.h"
#include "ingestor/control/settings.h"

/* Of one pipeline's dead letters, or one window; they outlive their relays. */
typedef struct MrRelayCounters
{
	atomic_uint_fast64_t published;
	atomic_uint_fast64_t marked;
	atomic_uint_fast64_t batches;
	atomic_uint_fast64_t errors;
	atomic_bool active;  /* this ingestor relays */
	atomic_bool failing; /* the last attempt failed */
} MrRelayCounters;

typedef struct MrRelay MrRelay;

/* Starts the thread; settings and counters must outlive it. NULL after logging why. */
extern MrRelay *mr_relay_new(const MrSettings *settings, const MrRelayRow *row,
							 MrRelayCounters *counters) __attribute__((warn_unused_result));
/* Is it what the row asks for? */
extern bool mr_relay_fits(const MrRelay *relay, const MrRelayRow *row);
/* Asks it to end; returns at once. */
extern void mr_relay_stop(MrRelay *relay);
/* It was asked to, or another ingestor relays, or there was no letter for a minute. */
extern bool mr_relay_has_ended(const MrRelay *relay);
/* It has ended. */
extern void mr_relay_free(MrRelay *relay);

#endif
