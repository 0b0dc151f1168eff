/*
 * The relays of this ingestor: one for each pipeline of which millrace.relay_pipelines() says that dead letters wait for
 * a relay, and for each window of which values do. Where none waits, or another ingestor relays, there is no thread and no connection. Main thread only.
 */
#ifndef MR_INGESTOR_RELAY_SET_H
#define MR_INGESTOR_RELAY_SET_H

#include <stdbool.h>

#include "common/buffer.h"
#include "ingestor/control/control.h"
#include "ingestor/control/settings.h"

typedef struct MrRelaySet MrRelaySet;

/* settings must outlive it. */
extern MrRelaySet *mr_relay_set_new(const MrSettings *settings, MrControl *control);
/* Asks where a relay is needed, starts and stops them. */
extern void mr_relay_set_poll(MrRelaySet *set);
/* Asks all to end; returns at once. */
extern void mr_relay_set_stop(MrRelaySet *set);
extern bool mr_relay_set_has_ended(const MrRelaySet *set);
extern void mr_relay_set_metrics(const MrRelaySet *set, MrBuffer *out);
/* False: some hang in a blocking call and live on; only _exit may follow. */
extern bool mr_relay_set_free(MrRelaySet *set);

#endif
