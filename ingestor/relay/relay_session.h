/*
 * A relay's session with Kafka: from the fence to the first failure, or to the end of the relay. It knows how far the DLQ topic was read and what the database has of that, reads and marks before
 * it publishes, and decides what to do with a letter that is too large. In the relay's thread.
 */
#ifndef MR_INGESTOR_RELAY_SESSION_H
#define MR_INGESTOR_RELAY_SESSION_H

#include "ingestor/relay/relay.h"
#include "ingestor/relay/relay_db.h"
#include "ingestor/relay/relay_kafka.h"

typedef struct MrRelaySession MrRelaySession;

typedef enum MrRelayStep
{
	MR_RELAY_FAILED,
	MR_RELAY_IDLE, /* no letter waits */
	MR_RELAY_READ, /* what is in the topic is marked: letters that remain are to be published */
	MR_RELAY_PUBLISHED
} MrRelayStep;

/* Not open yet. target is copied, what it points to is not; counters are the relay's. */
extern MrRelaySession *mr_relay_session_new(const MrRelayTarget *target, const char *pipeline,
											MrRelayCounters *counters);
/* One step, by the letters there are in the database; opens the session when one waits. */
extern MrRelayStep mr_relay_session_step(MrRelaySession *session, MrRelayDb *db, char *error)
	__attribute__((warn_unused_result));
/* Closes the connections to Kafka; the next step may open them again. */
extern void mr_relay_session_close(MrRelaySession *session);
extern void mr_relay_session_free(MrRelaySession *session);

#endif
