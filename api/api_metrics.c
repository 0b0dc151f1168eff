#include "api/api_metrics.h"

#include <stdio.h>

#include "api/api.h"
#include "api/resource/routes.h"
#include "common/metrics.h"
#include "common/version.h"

#define STALE_MS 2000 /* a loop that has not turned for so long hangs */

static void put_routes(MrApi *api, MrBuffer *out);
static void put_workers(MrApi *api, MrBuffer *out);
static void put_pools(MrApi *api, MrBuffer *out);
static void put_pool(MrApi *api, MrBuffer *out, const char *name, size_t family, int worker,
					 int pool);
static void put_buffers(MrApi *api, MrBuffer *out);
static void put_tls(MrApi *api, MrBuffer *out);
static void put_producer(MrApi *api, MrBuffer *out);
static void put_claims(MrApi *api, MrBuffer *out);
static void route_name(char *name, size_t size, int route);
static void route_sum(MrApi *api, int route, MrRouteStat *sum);

void
mr_api_metrics(void *owner, MrBuffer *out)
{
	MrApi *api = owner;

	mr_metrics_family(out, "millrace_api_build_info", "gauge", "Version of the program.");
	mr_metrics_value(out, "millrace_api_build_info", 1, "version", MR_VERSION, NULL);
	put_routes(api, out);
	put_workers(api, out);
	put_pools(api, out);
	put_buffers(api, out);
	if (api->tls != NULL)
		put_tls(api, out);
	if (api->producer != NULL)
		put_producer(api, out);
	if (api->producer != NULL)
		put_claims(api, out);
	mr_metrics_process(out);
}

bool
mr_api_ready(void *owner, MrBuffer *out)
{
	MrApi *api = owner;
	int64_t now = mr_now_ms();
	bool ready = api->terminations == 0;

	if (!ready)
		mr_buffer_printf(out, "draining\n");
	if (atomic_load(&api->relation) == NULL)
	{
		mr_buffer_printf(out, "relation %s is not known yet: %s\n", api->settings.events,
						 mr_describe_trouble(api->describe));
		ready = false;
	}
	for (int i = 0; i < api->worker_count; i++)
	{
		MrWorkerState state;

		mr_worker_state(api->workers[i], &state);
		if (now - state.tick_ms > STALE_MS)
			mr_buffer_printf(out, "thread %d has not turned for %lld ms\n", i,
							 (long long) (now - state.tick_ms));
		else if (state.pools[MR_POOL_READ].is_open)
			mr_buffer_printf(out, "thread %d has no connection to PostgreSQL: %s\n", i,
							 state.pools[MR_POOL_READ].trouble);
		else if (!state.accepts)
			mr_buffer_printf(out, "thread %d takes no connections yet\n", i);
		else
			continue;
		ready = false;
	}
	if (api->producer != NULL)
	{
		MrProducerState state;

		mr_producer_state(api->producer, &state);
		if (state.is_open)
			mr_buffer_printf(out, "no event can be published: %s\n", state.trouble);
		ready = ready && !state.is_open;
	}
	return ready;
}

static void
put_routes(MrApi *api, MrBuffer *out)
{
	static const char *const classes[] = {"lost", "1xx", "2xx", "3xx", "4xx", "5xx"};
	char name[80];
	MrRouteStat sum;

	mr_metrics_family(out, "millrace_api_requests_total", "counter",
					  "Requests answered, by route and class of status; lost: the client left.");
	for (int route = 0; route <= mr_route_count; route++)
	{
		route_name(name, sizeof(name), route);
		route_sum(api, route, &sum);
		for (int i = 0; i < 6; i++)
			if (sum.answers[i] > 0)
				mr_metrics_value(out, "millrace_api_requests_total", (double) sum.answers[i],
								 "route", name, "status", classes[i], NULL);
	}
	mr_metrics_family(out, "millrace_api_request_seconds", "histogram",
					  "From the end of a request's head and body to the end of its answer.");
	for (int route = 0; route <= mr_route_count; route++)
	{
		route_name(name, sizeof(name), route);
		route_sum(api, route, &sum);
		mr_metrics_histogram(out, "millrace_api_request_seconds", &sum.duration, "route", name);
	}
}

static void
put_workers(MrApi *api, MrBuffer *out)
{
	static const struct
	{
		const char *name;
		const char *type;
		const char *help;
	} families[] = {
		{"millrace_api_connections", "gauge", "Open connections of clients."},
		{"millrace_api_requests_in_flight", "gauge", "Requests being worked on or answered."},
		{"millrace_api_streams", "gauge", "Open streams of server-sent events."},
		{"millrace_api_streams_total", "counter", "Streams begun."},
		{"millrace_api_streams_slow_total", "counter",
		 "Streams closed because the client left too much unread."},
		{"millrace_api_streams_revoked_total", "counter",
		 "Streams closed because their key was revoked."},
	};

	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++)
	{
		mr_metrics_family(out, families[f].name, families[f].type, families[f].help);
		for (int i = 0; i < api->worker_count; i++)
		{
			MrWorkerState s;
			char thread[16];

			snprintf(thread, sizeof(thread), "%d", i);
			mr_worker_state(api->workers[i], &s);
			const double values[] = {s.connections,           s.busy,
									 s.streams.open,          (double) s.streams.begun,
									 (double) s.streams.slow, (double) s.streams.revoked};

			mr_metrics_value(out, families[f].name, values[f], "thread", thread, NULL);
		}
	}
}

static void
put_pools(MrApi *api, MrBuffer *out)
{
	static const struct
	{
		const char *name;
		const char *type;
		const char *help;
	} families[] = {
		{"millrace_api_pool_connections", "gauge", "Connections to PostgreSQL that are set up."},
		{"millrace_api_pool_running", "gauge", "Queries that run."},
		{"millrace_api_pool_waiting", "gauge", "Queries that wait for a connection."},
		{"millrace_api_pool_open", "gauge", "1: the circuit breaker towards PostgreSQL is open."},
		{"millrace_api_pool_losses_total", "counter",
		 "Connections to PostgreSQL lost, or not made."},
		{"millrace_api_queries_total", "counter", "Queries taken."},
		{"millrace_api_queries_refused_total", "counter",
		 "Queries refused: no connection, or too many waiting."},
		{"millrace_api_query_cancels_total", "counter", "Queries cancelled: the client left."},
	};

	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++)
	{
		mr_metrics_family(out, families[f].name, families[f].type, families[f].help);
		for (int i = 0; i < api->worker_count * MR_POOLS; i++)
			put_pool(api, out, families[f].name, f, i / MR_POOLS, i % MR_POOLS);
	}
}

static void
put_pool(MrApi *api, MrBuffer *out, const char *name, size_t family, int worker, int pool)
{
	static const char *const pools[] = {"read", "operate", "keys"};
	MrWorkerState s;
	char thread[16];

	mr_worker_state(api->workers[worker], &s);
	const MrPoolState *p = &s.pools[pool];
	const double values[] = {p->connections,      p->running,         p->waiting,
							 p->is_open,          (double) p->losses, (double) p->queries,
							 (double) p->refused, (double) p->cancels};

	snprintf(thread, sizeof(thread), "%d", worker);
	if (s.has_pool[pool])
		mr_metrics_value(out, name, values[family], "pool", pools[pool], "thread", thread, NULL);
}

static void
put_buffers(MrApi *api, MrBuffer *out)
{
	mr_metrics_family(out, "millrace_api_buffered_bytes", "gauge",
					  "Requests not answered yet, and what clients have not taken of answers.");
	mr_metrics_value(out, "millrace_api_buffered_bytes", (double) atomic_load(&api->budget.used),
					 NULL);
}

static void
put_tls(MrApi *api, MrBuffer *out)
{
	MrTlsState state;

	mr_tls_state(api->tls, &state);
	mr_metrics_family(out, "millrace_api_tls_expires_timestamp_seconds", "gauge",
					  "When the certificate expires, in seconds since 1970.");
	mr_metrics_value(out, "millrace_api_tls_expires_timestamp_seconds", (double) state.expires_s,
					 NULL);
	mr_metrics_family(out, "millrace_api_tls_refused_total", "counter",
					  "Connections whose TLS handshake failed or took too long.");
	mr_metrics_value(out, "millrace_api_tls_refused_total", (double) state.refused, NULL);
}

static void
put_producer(MrApi *api, MrBuffer *out)
{
	MrProducerState state;

	mr_producer_state(api->producer, &state);
	mr_metrics_family(out, "millrace_api_published_total", "counter",
					  "Events acknowledged by Kafka.");
	mr_metrics_value(out, "millrace_api_published_total", (double) state.published, NULL);
	mr_metrics_family(out, "millrace_api_publish_failures_total", "counter",
					  "Events that Kafka did not acknowledge.");
	mr_metrics_value(out, "millrace_api_publish_failures_total", (double) state.failed, NULL);
	mr_metrics_family(out, "millrace_api_producer_queued", "gauge",
					  "Events sent and not acknowledged yet.");
	mr_metrics_value(out, "millrace_api_producer_queued", state.queued, NULL);
	mr_metrics_family(out, "millrace_api_producer_open", "gauge",
					  "1: the circuit breaker towards Kafka is open.");
	mr_metrics_value(out, "millrace_api_producer_open", state.is_open, NULL);
}

static void
put_claims(MrApi *api, MrBuffer *out)
{
	static const char *const outcomes[] = {[MR_CLAIM_MINE] = "made",
										   [MR_CLAIM_ANSWERED] = "repeated",
										   [MR_CLAIM_IN_FLIGHT] = "in_flight",
										   [MR_CLAIM_OTHER_BODY] = "conflicting",
										   [MR_CLAIM_FAILED] = "failed"};
	MrClaimCounts sum = {0};

	for (int i = 0; i < api->worker_count; i++)
	{
		MrWorkerState s;

		mr_worker_state(api->workers[i], &s);
		for (int o = 0; o <= MR_CLAIM_FAILED; o++)
			sum.outcomes[o] += s.claims.outcomes[o];
		sum.expired += s.claims.expired;
		sum.unrecorded += s.claims.unrecorded;
		sum.open += s.claims.open;
	}
	mr_metrics_family(out, "millrace_api_idempotency_claims_total", "counter",
					  "Requests with an Idempotency-Key: made published, repeated got the answer "
					  "of an earlier one, in_flight got 409, conflicting 422, failed 503.");
	for (int o = 0; o <= MR_CLAIM_FAILED; o++)
		mr_metrics_value(out, "millrace_api_idempotency_claims_total", (double) sum.outcomes[o],
						 "outcome", outcomes[o], NULL);
	mr_metrics_family(out, "millrace_api_idempotency_leases_expired_total", "counter",
					  "Claims made after a request that ended without a record, and may have "
					  "published.");
	mr_metrics_value(out, "millrace_api_idempotency_leases_expired_total", (double) sum.expired,
					 NULL);
	mr_metrics_family(out, "millrace_api_idempotency_unrecorded_total", "counter",
					  "Answers that were given and could not be recorded.");
	mr_metrics_value(out, "millrace_api_idempotency_unrecorded_total", (double) sum.unrecorded,
					 NULL);
	mr_metrics_family(out, "millrace_api_idempotency_claims_open", "gauge",
					  "Claims whose answer is not recorded yet.");
	mr_metrics_value(out, "millrace_api_idempotency_claims_open", sum.open, NULL);
}

static void
route_name(char *name, size_t size, int route)
{
	if (route == mr_route_count)
		snprintf(name, size, "none");
	else
		snprintf(name, size, "%s %s", mr_routes[route].method == MR_METHOD_POST ? "POST" : "GET",
				 mr_routes[route].path);
}

static void
route_sum(MrApi *api, int route, MrRouteStat *sum)
{
	*sum = (MrRouteStat){0};
	for (int i = 0; i < api->worker_count; i++)
		mr_route_stats_sum(mr_worker_stats(api->workers[i]),
						   route == mr_route_count ? MR_ROUTES_MAX - 1 : route, sum);
}
