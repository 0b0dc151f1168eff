/* The process: workers, signals, the admin port. All of it on the main thread, but for the workers' own. */
#ifndef MR_API_H
#define MR_API_H

#include "api/control/settings.h"
#include "api/describe.h"
#include "api/keyring.h"
#include "api/resource/event_tail.h"
#include "api/resource/event_wait_source.h"
#include "api/resource/statistics_source.h"
#include "api/wire/inherited.h"
#include "api/wire/tls.h"
#include "api/worker.h"
#include "common/admin_http.h"
#include "common/eventloop.h"

typedef struct MrApi
{
	MrApiSettings settings;
	int argc;
	char **argv;
	MrLoop *loop;
	MrAdminHttp *admin;
	MrCanceller *canceller;
	MrDescribe *describe;
	MrProducer *producer; /* NULL: nothing is published */
	MrSharedRelation relation;
	MrCursorSecret secret;
	MrKeyring keyring;
	MrTls *tls; /* NULL: in clear text */
	MrInherited inherited;
	MrEventTail *tail;
	MrStatisticsSource *statistics;
	MrEventWaitSource *waits; /* NULL: nothing is published */
	unsigned anonymous;       /* scopes of requests without a key */
	MrEdge edge;
	MrBudget budget; /* of all buffers */
	MrWorker **workers;
	int worker_count;
	int port;
	int terminations;
	struct event *end; /* a timer: have the workers ended? */
	bool failed;       /* the relation cannot be served, and there was none before */
} MrApi;

/* The files of the options for TLS. */
extern MrTlsFiles mr_api_tls_files(const MrApiSettings *settings);
/* Takes the settings over. NULL when it cannot start; the reason is in the log. */
extern MrApi *mr_api_new(MrApiSettings *settings, int argc, char **argv)
	__attribute__((warn_unused_result));
/* Until a signal; false: it ended because of a failure, or at once. */
extern bool mr_api_run(MrApi *api);
extern void mr_api_free(MrApi *api);

#endif
