#include "api/worker.h"

#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/request/exchange.h"
#include "api/request/stream.h"
#include "api/resource/claim.h"
#include "api/resource/event_feed.h"
#include "api/resource/event_wait.h"
#include "api/resource/routes.h"
#include "api/resource/statistics.h"
#include "api/resource/statistics_feed.h"
#include "api/wire/server.h"
#include "common/eventloop.h"

#define TICK_MS           50
#define BODY_GRACE_MS     5000 /* a shorter pause of an upload is nobody's fault */
#define WRITE_CONNECTIONS 2    /* of each of the pools that write */
/* What waits at an inherited socket gets an error then, if there is nothing else to say: when something that is needed is
 * known to be away, and when it has said nothing at all. */
#define ACCEPT_IN_TROUBLE_MS 2000
#define ACCEPT_MS            10000

struct MrWorker
{
	pthread_t thread;
	bool started;
	struct event_base *base;
	struct event *tick;
	MrServer *server;
	MrPool *pool;
	MrPool *operate_pool;
	MrStatisticsSource *source; /* of the statistics; all threads' */
	MrStatistics *statistics;
	MrStatisticsFeed *feed;
	MrStreams *streams;
	MrEventFeed *event_feed;
	MrOutbox *outbox;
	MrClaims *claims;
	MrEventWaits *waits;
	MrRouteStats stats;
	MrContext context;
	MrExchangeSetup exchanges;
	const MrDescribe *describe;
	pthread_mutex_t lock;
	MrWorkerState state; /* under the lock: of the last tick */
	atomic_bool ended;
	_Atomic int64_t end_ms; /* set by mr_worker_stop(): when to end at the latest; 0: never */
	int64_t begun_ms;       /* 0: it takes connections */
	bool draining;
};

static void make_context(MrWorker *worker, const MrWorkerSetup *setup);
static MrPoolSetup writing(const MrPoolSetup *other, const char *dsn);
static void *run(void *arg);
static void on_tick(evutil_socket_t fd, short what, void *arg);
static void show_state(MrWorker *worker);
static void accept_when_ready(MrWorker *worker);
static bool can_answer(const MrWorker *worker);
static bool can_publish(const MrWorker *worker);
static bool is_in_trouble(const MrWorker *worker);
static void drain(MrWorker *worker, int64_t end_ms);
static bool is_busy(const MrWorker *worker);
static MrWireLimits limits_of(const MrWorkerSetup *setup);
static struct event_base *new_base(void);

MrWorker *
mr_worker_new(const MrWorkerSetup *setup, int number, int *port, char *error, size_t error_size)
{
	const MrApiSettings *settings = setup->settings;
	const MrWireLimits limits = limits_of(setup);
	MrListen listen = {.address = setup->address, .port = *port};
	MrWorker *worker = mr_calloc(1, sizeof(*worker));

	pthread_mutex_init(&worker->lock, NULL);
	mr_route_stats_init(&worker->stats);
	worker->base = new_base();
	worker->begun_ms = setup->inherited->count > 0 ? mr_now_ms() : 0;
	worker->describe = setup->describe;
	make_context(worker, setup);
	worker->exchanges = (MrExchangeSetup){.routes = mr_routes,
										  .route_count = mr_route_count,
										  .stats = &worker->stats,
										  .access_log = (MrAccessLog) settings->access_log,
										  .access = {.keys = setup->keys,
													 .anonymous = setup->anonymous,
													 .hosts = &settings->hosts},
										  .edge = setup->edge,
										  .body_max = (size_t) settings->max_body_bytes,
										  .streams = worker->streams,
										  .context = &worker->context};
	if (mr_inherited_copy(setup->inherited, number, &listen.inherited))
		worker->server = mr_server_new(worker->base, &listen, &limits, &mr_exchange_events,
									   &worker->exchanges, error, error_size);
	else
		snprintf(error, error_size, "could not copy the inherited socket: %m");
	*port = listen.port;
	worker->tick = evtimer_new(worker->base, on_tick, worker);
	mr_timer_set(worker->tick, 0);
	show_state(worker);
	worker->started =
		worker->server != NULL && pthread_create(&worker->thread, NULL, run, worker) == 0;
	if (worker->started)
		return worker;
	mr_worker_free(worker);
	return NULL;
}

void
mr_worker_state(MrWorker *worker, MrWorkerState *state)
{
	pthread_mutex_lock(&worker->lock);
	*state = worker->state;
	pthread_mutex_unlock(&worker->lock);
}

MrRouteStats *
mr_worker_stats(MrWorker *worker)
{
	return &worker->stats;
}

void
mr_worker_stop(MrWorker *worker, int64_t drain_ms)
{
	atomic_store(&worker->end_ms, mr_now_ms() + drain_ms);
}

bool
mr_worker_has_ended(const MrWorker *worker)
{
	return atomic_load(&worker->ended);
}

void
mr_worker_free(MrWorker *worker)
{
	if (worker == NULL)
		return;
	if (worker->started)
		pthread_join(worker->thread, NULL);
	/* exchanges that are left abandon what they wait for, so it is still there */
	mr_server_free(worker->server);
	mr_claims_free(worker->claims);
	mr_event_waits_free(worker->waits);
	mr_event_feed_free(worker->event_feed);
	mr_streams_free(worker->streams);
	mr_statistics_feed_free(worker->feed);
	mr_statistics_free(worker->statistics);
	mr_pool_free(worker->pool);
	mr_pool_free(worker->operate_pool);
	mr_outbox_free(worker->outbox);
	event_free(worker->tick);
	event_base_free(worker->base);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}

/* What the handlers stand on. */
static void
make_context(MrWorker *worker, const MrWorkerSetup *setup)
{
	const MrApiSettings *settings = setup->settings;
	const MrPoolSetup pool = {.base = worker->base,
							  .dsn = settings->dsn,
							  .connections = (int) settings->pool,
							  .query_ms = settings->query_ms,
							  .canceller = setup->canceller};
	const MrPoolSetup operating = writing(&pool, settings->operate_dsn);
	const MrPoolSetup claiming = writing(&pool, settings->dsn);
	const MrStreamSetup streams = {.keys = setup->keys,
								   .streams = (int) settings->max_streams,
								   .unsent_bytes = (size_t) settings->stream_buffer_bytes,
								   .heartbeat_ms = settings->heartbeat_ms};
	MrEventFeedSetup feed = {.heartbeat_ms = settings->heartbeat_ms,
							 .unsent_bytes = (size_t) settings->stream_buffer_bytes / 2};

	feed.pool = worker->pool = mr_pool_new(&pool);
	worker->source = setup->statistics;
	worker->statistics = mr_statistics_new(worker->base, setup->statistics);
	worker->feed = mr_statistics_feed_new(worker->base, worker->statistics);
	worker->streams = mr_streams_new(&streams);
	worker->event_feed = mr_event_feed_new(worker->base, setup->tail, &feed);
	if (*settings->operate_dsn != '\0')
		worker->operate_pool = mr_pool_new(&operating);
	if (setup->producer != NULL)
	{
		worker->outbox = mr_outbox_new(setup->producer, worker->base);
		worker->claims = mr_claims_new(&claiming, settings->topic, settings->publish_ms);
		worker->waits = mr_event_waits_new(worker->base, setup->waits);
	}
	worker->context = (MrContext){.pool = worker->pool,
								  .operate_pool = worker->operate_pool,
								  .statistics = worker->statistics,
								  .feed = worker->feed,
								  .event_feed = worker->event_feed,
								  .relation = setup->relation,
								  .secret = setup->secret,
								  .outbox = worker->outbox,
								  .claims = worker->claims,
								  .waits = worker->waits,
								  .topic = settings->topic,
								  .budget = setup->budget};
}

/* People and scripts operate, and keys of requests take two short statements: there are never many at a time. */
static MrPoolSetup
writing(const MrPoolSetup *other, const char *dsn)
{
	MrPoolSetup setup = *other;

	setup.dsn = dsn;
	setup.connections = WRITE_CONNECTIONS;
	setup.writes = true;
	return setup;
}

static void *
run(void *arg)
{
	MrWorker *worker = arg;

	event_base_dispatch(worker->base);
	atomic_store(&worker->ended, true);
	return NULL;
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	MrWorker *worker = arg;
	int64_t end_ms = atomic_load(&worker->end_ms);

	(void) fd;
	(void) what;
	mr_pool_tick(worker->pool);
	if (worker->operate_pool != NULL)
		mr_pool_tick(worker->operate_pool);
	if (worker->claims != NULL)
		mr_claims_tick(worker->claims);
	mr_event_feed_tick(worker->event_feed, mr_now_ms());
	mr_streams_tick(worker->streams, mr_now_ms());
	accept_when_ready(worker);
	if (end_ms > 0)
		drain(worker, end_ms);
	show_state(worker);
	mr_timer_set(worker->tick, TICK_MS);
}

static void
show_state(MrWorker *worker)
{
	MrWorkerState state = {.tick_ms = mr_now_ms(), .accepts = worker->begun_ms == 0};
	const MrPool *pools[MR_POOLS] = {[MR_POOL_READ] = worker->pool,
									 [MR_POOL_OPERATE] = worker->operate_pool,
									 [MR_POOL_KEYS] = worker->claims != NULL
														  ? mr_claims_pool(worker->claims)
														  : NULL};

	for (int i = 0; i < MR_POOLS; i++)
	{
		state.has_pool[i] = pools[i] != NULL;
		if (state.has_pool[i])
			mr_pool_state(pools[i], &state.pools[i]);
	}
	mr_streams_state(worker->streams, &state.streams);
	if (worker->claims != NULL)
		mr_claims_counts(worker->claims, &state.claims);
	if (worker->server != NULL)
	{
		state.connections = mr_connections_count(mr_server_connections(worker->server));
		state.busy = mr_connections_busy(mr_server_connections(worker->server));
	}
	pthread_mutex_lock(&worker->lock);
	worker->state = state;
	pthread_mutex_unlock(&worker->lock);
}

/* As long as this one would answer with errors, another process has more to say. */
static void
accept_when_ready(MrWorker *worker)
{
	int64_t limit_ms;

	if (worker->begun_ms == 0)
		return;
	if (!can_answer(worker))
	{
		limit_ms = is_in_trouble(worker) ? ACCEPT_IN_TROUBLE_MS : ACCEPT_MS;
		if (mr_now_ms() - worker->begun_ms < limit_ms)
			return;
	}
	worker->begun_ms = 0;
	mr_server_accept(worker->server);
}

/*
 * The relation behind /events is known, each pool of this thread (another one may be quicker) and the one of the process has a
 * connection, and the producer has found its topic.
 */
static bool
can_answer(const MrWorker *worker)
{
	return atomic_load(worker->context.relation) != NULL && mr_pool_is_connected(worker->pool) &&
		   mr_statistics_source_is_connected(worker->source) &&
		   (worker->operate_pool == NULL || mr_pool_is_connected(worker->operate_pool)) &&
		   (worker->claims == NULL || mr_claims_can_ask(worker->claims)) && can_publish(worker);
}

static bool
can_publish(const MrWorker *worker)
{
	MrProducerState state;

	if (worker->outbox == NULL)
		return true;
	mr_producer_state(mr_outbox_producer(worker->outbox), &state);
	return !state.is_open;
}

/* One of those has failed, and is being tried again. */
static bool
is_in_trouble(const MrWorker *worker)
{
	MrProducerState producer = {0};

	if (worker->outbox != NULL)
		mr_producer_state(mr_outbox_producer(worker->outbox), &producer);
	return *producer.trouble != '\0' || mr_describe_is_in_trouble(worker->describe) ||
		   mr_pool_is_in_trouble(worker->pool) ||
		   mr_statistics_source_is_in_trouble(worker->source) ||
		   (worker->operate_pool != NULL && mr_pool_is_in_trouble(worker->operate_pool)) ||
		   (worker->claims != NULL && mr_claims_are_in_trouble(worker->claims));
}

/* Until no connection is open: each is closed with its next answer, or when there is none to give. */
static void
drain(MrWorker *worker, int64_t end_ms)
{
	if (!worker->draining)
	{
		worker->draining = true;
		mr_server_drain(worker->server);
		mr_streams_drain(worker->streams);
		if (worker->waits != NULL)
			mr_event_waits_drain(worker->waits);
	}
	else if (!is_busy(worker) || mr_now_ms() >= end_ms)
		event_base_loopbreak(worker->base);
}

/* A request with an Idempotency-Key goes on without its client. A socket that outlives its thread would let clients wait. */
static bool
is_busy(const MrWorker *worker)
{
	return mr_server_is_listening(worker->server) ||
		   mr_connections_are_open(mr_server_connections(worker->server)) ||
		   (worker->claims != NULL && mr_claims_open(worker->claims) > 0);
}

/* Connections turn their events on and off with each request: epoll hears only of what is different when it is asked. So a socket that another
 * process has, too, may only be closed in a later turn than its events (mr_server_drain()). */
static struct event_base *
new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

static MrWireLimits
limits_of(const MrWorkerSetup *setup)
{
	const MrApiSettings *settings = setup->settings;

	return (MrWireLimits){.body_bytes = (uint64_t) settings->max_body_bytes,
						  .head_ms = settings->head_ms,
						  .idle_ms = settings->idle_ms,
						  .body_bytes_s = 1024,
						  .body_grace_ms =
							  settings->head_ms > BODY_GRACE_MS ? settings->head_ms : BODY_GRACE_MS,
						  .connections = (int) settings->max_connections,
						  .budget = setup->budget,
						  .tls = setup->tls};
}
