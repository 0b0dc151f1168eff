/*
 * The process: settings, event loop, control connection, pipelines, and the way out.
 * Everything runs on the main thread but librdkafka's own threads, the resolver's and the relays'.
 */
#ifndef MR_INGESTOR_INGESTOR_H
#define MR_INGESTOR_INGESTOR_H

#include "common/admin_http.h"
#include "common/eventloop.h"
#include "ingestor/control/control.h"
#include "ingestor/ingestor_presence.h"
#include "ingestor/pipeline.h"
#include "ingestor/relay/relay_set.h"
#include "ingestor/fetch/resolver.h"
#include "ingestor/control/settings.h"

typedef enum MrPhase
{
	MR_PHASE_RUNNING,
	MR_PHASE_DRAINING, /* nothing is fetched; what is open is staged, what is staged is settled */
	MR_PHASE_LEAVING,  /* the consumers leave their groups */
	MR_PHASE_DONE
} MrPhase;

typedef struct MrIngestor
{
	MrSettings settings;
	int argc;
	char **argv;
	MrLoop *loop;
	MrControl *control;
	MrResolver *resolver;
	MrRelaySet *relays;
	MrPresence presence;
	MrAdminHttp *admin;
	MrFetchBudget budget;
	MrPipeline **pipelines;
	int pipeline_count;
	bool listed;          /* ingestor_pipelines() has answered, the last time it was called */
	bool listing_pending; /* it is queued or under way */
	struct event *poll;   /* every poll-interval */
	struct event *every;  /* a few times a second; faster on the way out */
	MrPhase phase;
	int64_t phase_deadline_ms;
	int terminations;
} MrIngestor;

/* settings is taken over. NULL after logging why. */
extern MrIngestor *mr_ingestor_new(MrSettings *settings, int argc, char **argv)
	__attribute__((warn_unused_result));
/* Returns when stopped; true after an orderly end. */
extern bool mr_ingestor_run(MrIngestor *ingestor);
/* False: a relay, the resolver or a Kafka client hangs in a blocking call; the process can only _exit. */
extern bool mr_ingestor_free(MrIngestor *ingestor);

#endif
