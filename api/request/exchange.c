#include "api/request/exchange.h"

#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/queue.h>
#include <time.h>

#include "api/request/accept.h"
#include "api/request/body.h"
#include "api/request/cors.h"
#include "api/request/draw.h"
#include "api/request/etag.h"
#include "api/request/gzip.h"
#include "common/log.h"

#define SMALL_BYTES 4096 /* an answer of this size is always given */

static void on_request(void *owner, MrConnection *connection, struct evhttp_request *request,
					   const MrRefusal *refusal);
static void on_ended(void *owner, void *arg, bool sent);
static void on_left(void *owner, void *arg);
static void know_client(MrExchange *exchange);
static void route(MrExchange *exchange);
static MrMethod method_of(const struct evhttp_request *request);
static void refuse_method(MrExchange *exchange);
static void send_answer(MrExchange *exchange, int status, MrBuffer *body);
static void encode(MrExchange *exchange, int status, MrBuffer *body);
static const char *reason_of(int status);
static void put_common_headers(MrExchange *exchange);
static void log_answer(const MrExchange *exchange, int64_t took_us, bool sent);
static int64_t now_us(void);
static void free_buffer(const void *data, size_t len, void *extra);
static void release_text(const void *data, size_t len, void *extra);

const MrConnectionEvents mr_exchange_events = {on_request, on_ended, on_left};

const char *
mr_exchange_body(const MrExchange *exchange, size_t *len)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(exchange->http);

	*len = evbuffer_get_length(input);
	return *len > 0 ? (const char *) evbuffer_pullup(input, -1) : "";
}

void
mr_exchange_drop_body(MrExchange *exchange)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(exchange->http);

	evbuffer_drain(input, evbuffer_get_length(input));
}

void
mr_exchange_set_header(MrExchange *exchange, const char *name, const char *value)
{
	evhttp_add_header(evhttp_request_get_output_headers(exchange->http), name, value);
}

void
mr_exchange_vary(MrExchange *exchange, const char *name)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(exchange->http);
	const char *before = evhttp_find_header(headers, "Vary");
	char all[200];

	snprintf(all, sizeof(all), "%s%s%s", before != NULL ? before : "", before != NULL ? ", " : "",
			 name);
	evhttp_remove_header(headers, "Vary");
	evhttp_add_header(headers, "Vary", all);
}

void
mr_exchange_forget_work(MrExchange *exchange)
{
	exchange->work = NULL;
	exchange->abandon = NULL;
}

void
mr_exchange_answer(MrExchange *exchange, int status, const char *type, MrBuffer *body)
{
	if (status == 200 && !exchange->is_done && body->len > SMALL_BYTES &&
		!mr_connection_has_room(exchange->connection, body->len))
	{
		mr_buffer_free(body);
		evhttp_clear_headers(evhttp_request_get_output_headers(exchange->http));
		mr_exchange_refuse(exchange, MR_PROBLEM_BUSY,
						   "Clients have left too much of their answers unread.", NULL);
		return;
	}
	if (type != NULL)
		mr_exchange_set_header(exchange, "Content-Type", type);
	send_answer(exchange, status, body);
}

void
mr_exchange_problem(MrExchange *exchange, const MrProblemReport *report)
{
	MrProblemReport full = *report;
	MrBuffer body = {0};
	int status = mr_problem_status(report->problem);

	full.instance = exchange->path;
	full.trace_id = exchange->trace.id;
	mr_problem_write(&body, &full);
	if (status == 503)
		mr_exchange_set_header(exchange, "Retry-After", "1");
	mr_exchange_set_header(exchange, "Cache-Control", "no-store");
	mr_exchange_answer(exchange, status, "application/problem+json", &body);
}

void
mr_exchange_refuse(MrExchange *exchange, MrProblem problem, const char *detail, const char *hint)
{
	const MrProblemReport report = {.problem = problem, .detail = detail, .hint = hint};

	mr_exchange_problem(exchange, &report);
}

bool
mr_exchange_begin(MrExchange *exchange, const char *type, int send_buffer)
{
	exchange->status = 200;
	exchange->took_us = now_us() - exchange->began_us;
	mr_connection_begin_stream(exchange->connection, send_buffer);
	mr_exchange_set_header(exchange, "Content-Type", type);
	put_common_headers(exchange);
	exchange->goes_on = !exchange->is_head;
	if (exchange->goes_on)
		evhttp_send_reply_start(exchange->http, 200, NULL);
	else
		evhttp_send_reply(exchange->http, 200, NULL, NULL);
	return exchange->goes_on;
}

void
mr_exchange_send(MrExchange *exchange, MrSharedText *part)
{
	struct evbuffer *out = evbuffer_new();

	if (evbuffer_add_reference(out, mr_shared_text_data(part), mr_shared_text_len(part),
							   release_text, mr_shared_text_hold(part)) != 0)
		abort(); /* memory is out: the stream would go on without a part of it */
	evhttp_send_reply_chunk(exchange->http, out);
	evbuffer_free(out);
}

void
mr_exchange_end(MrExchange *exchange)
{
	MrConnection *connection = exchange->connection;

	exchange->goes_on = false;
	evhttp_send_reply_end(exchange->http); /* the exchange may be over */
	mr_connection_end_stream(connection);
}

static void
on_request(void *owner, MrConnection *connection, struct evhttp_request *request,
		   const MrRefusal *refusal)
{
	MrExchange *exchange = mr_calloc(1, sizeof(*exchange));

	exchange->setup = owner;
	exchange->connection = connection;
	exchange->http = request;
	exchange->match.route = -1;
	exchange->began_us = now_us();
	know_client(exchange);
	mr_connection_set_exchange(connection, exchange);
	if (refusal != NULL)
		mr_exchange_refuse(exchange, refusal->problem, refusal->why, NULL);
	else
		route(exchange);
}

static void
on_ended(void *owner, void *arg, bool sent)
{
	const MrExchangeSetup *setup = owner;
	MrExchange *exchange = arg;
	int64_t lasted_us = now_us() - exchange->began_us;
	/* a stream that has begun is answered, however it ends */
	bool is_stream = exchange->took_us > 0;
	bool is_answered = is_stream || (sent && !exchange->is_left);
	int64_t took_us = is_stream ? exchange->took_us : lasted_us;
	int route = exchange->match.route >= 0 ? exchange->match.route : MR_ROUTES_MAX - 1;

	if (exchange->abandon != NULL)
		exchange->abandon(exchange->work);
	mr_route_stats_add(setup->stats, route, is_answered ? exchange->status : 0,
					   (double) took_us / 1e6);
	log_answer(exchange, lasted_us, is_answered);
	/* evhttp leaves a request to us whose answer has not ended when the connection does */
	if (exchange->goes_on && evhttp_request_get_connection(exchange->http) == NULL)
		evhttp_request_free(exchange->http);
	mr_route_match_free(&exchange->match);
	mr_params_free(&exchange->params);
	free(exchange->path);
	free(exchange);
}

/* What is still worked on is for nobody. evhttp wants an answer all the same; writing it finds the socket closed. */
static void
on_left(void *owner, void *arg)
{
	MrExchange *exchange = arg;
	MrBuffer nothing = {0};

	(void) owner;
	if (exchange->status != 0)
		return;
	if (exchange->abandon != NULL)
		exchange->abandon(exchange->work);
	mr_exchange_forget_work(exchange);
	exchange->is_left = true; /* the socket may take it all the same */
	mr_exchange_set_header(exchange, "Connection", "close");
	mr_exchange_answer(exchange, 499, NULL, &nothing);
}

/* Whose request it is, and of which trace. Each proxy may have added a field of its own. */
static void
know_client(MrExchange *exchange)
{
	struct evkeyvalq *headers = evhttp_request_get_input_headers(exchange->http);
	const MrNetworks *proxies = &exchange->setup->edge->proxies;
	MrBuffer forwarded = {0};
	const struct evkeyval *field;
	char *peer = NULL;
	uint16_t port;

	/* of two parents neither is to be believed: a new trace begins, as W3C Trace Context has it */
	mr_trace_take(&exchange->trace,
				  mr_exchange_header_count(exchange, "traceparent") == 1
					  ? mr_exchange_header(exchange, "traceparent")
					  : NULL,
				  mr_exchange_header(exchange, "tracestate"), mr_draw_random());
	evhttp_connection_get_peer(evhttp_request_get_connection(exchange->http), &peer, &port);
	if (proxies->count > 0)
		TAILQ_FOREACH (field, headers, next)
			if (strcasecmp(field->key, "X-Forwarded-For") == 0)
				mr_buffer_printf(&forwarded, "%s%s", forwarded.len > 0 ? "," : "", field->value);
	mr_client_address(exchange->client, peer != NULL ? peer : "",
					  forwarded.len > 0 ? mr_buffer_string(&forwarded) : NULL, proxies);
	mr_buffer_free(&forwarded);
}

static void
route(MrExchange *exchange)
{
	const MrExchangeSetup *setup = exchange->setup;
	const char *uri = evhttp_request_get_uri(exchange->http);
	size_t len = strcspn(uri, "?");
	char error[128];

	exchange->path = mr_strdup(uri);
	exchange->path[len] = '\0';
	exchange->is_head = evhttp_request_get_command(exchange->http) == EVHTTP_REQ_HEAD;
	mr_route_find(&exchange->match, setup->routes, setup->route_count, method_of(exchange->http),
				  exchange->path);
	if (mr_cors_preflight(exchange))
		return;
	if (!mr_access_identify(exchange, &setup->access))
		return;
	if (exchange->match.methods == 0)
		mr_exchange_refuse(exchange, MR_PROBLEM_ROUTE, NULL, NULL);
	else if (exchange->match.route < 0)
		refuse_method(exchange);
	else if (!mr_access_is_within_rate(exchange))
		return;
	else if (!mr_access_allow(exchange, &setup->access, setup->routes[exchange->match.route].scope,
							  setup->routes[exchange->match.route].method == MR_METHOD_POST))
		return;
	else if (!mr_params_parse(&exchange->params, uri[len] == '?' ? uri + len + 1 : NULL, error,
							  sizeof(error)))
		mr_exchange_refuse(exchange, MR_PROBLEM_PARAMETER, error,
						   "Give each parameter once, as name=value.");
	else if (setup->routes[exchange->match.route].method != MR_METHOD_POST ||
			 mr_body_decode(exchange))
		setup->routes[exchange->match.route].handle(exchange);
}

static MrMethod
method_of(const struct evhttp_request *request)
{
	switch (evhttp_request_get_command(request))
	{
		case EVHTTP_REQ_GET:
		case EVHTTP_REQ_HEAD:
			return MR_METHOD_GET;
		case EVHTTP_REQ_POST:
			return MR_METHOD_POST;
		default:
			return MR_METHOD_OTHER;
	}
}

static void
refuse_method(MrExchange *exchange)
{
	MrBuffer allow = {0};

	mr_route_allow(&allow, exchange->match.methods);
	mr_exchange_set_header(exchange, "Allow", mr_buffer_string(&allow));
	mr_exchange_refuse(exchange, MR_PROBLEM_METHOD, NULL, NULL);
	mr_buffer_free(&allow);
}

/* An answer to HEAD has the header fields that GET would have, its Content-Length too, and no body. */
static void
send_answer(MrExchange *exchange, int status, MrBuffer *body)
{
	MrConnection *connection = exchange->connection;
	struct evbuffer *out = evbuffer_new();
	char length[24];

	exchange->status = status;
	put_common_headers(exchange);
	encode(exchange, status, body);
	if (status != 304 && status != 204)
	{
		snprintf(length, sizeof(length), "%zu", body->len);
		mr_exchange_set_header(exchange, "Content-Length", length);
	}
	if (exchange->is_head || status == 304 || status == 204 || body->len == 0)
		mr_buffer_free(body);
	else if (evbuffer_add_reference(out, body->data, body->len, free_buffer, NULL) != 0)
		abort(); /* memory is out: fewer bytes would follow than its length says */
	*body = (MrBuffer){0};
	evhttp_send_reply(exchange->http, status, reason_of(status), out);
	evbuffer_free(out);
	mr_connection_send(connection);
}

static void
put_common_headers(MrExchange *exchange)
{
	mr_exchange_set_header(exchange, "X-Content-Type-Options", "nosniff");
	mr_exchange_set_header(exchange, "traceparent", exchange->trace.parent);
	mr_cors_put(exchange);
	if (!mr_connection_ends(exchange->connection))
		return;
	evhttp_remove_header(evhttp_request_get_output_headers(exchange->http), "Connection");
	mr_exchange_set_header(exchange, "Connection", "close");
}

/* An answer that is compressed has an entity tag of its own; 304 has the one that the whole answer would have. */
static void
encode(MrExchange *exchange, int status, MrBuffer *body)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(exchange->http);
	size_t from = exchange->setup->edge->gzip_from;
	const char *tag;
	char variant[MR_ETAG_VARIANT_SIZE];

	if (from == 0 || body->len < from)
		return;
	mr_exchange_vary(exchange, "Accept-Encoding");
	if (!mr_accept_gzip(mr_exchange_header(exchange, "Accept-Encoding")))
		return;
	tag = evhttp_find_header(headers, "ETag");
	if (tag != NULL)
	{
		mr_etag_gzip(variant, tag);
		evhttp_remove_header(headers, "ETag");
		mr_exchange_set_header(exchange, "ETag", variant);
	}
	if (status == 304)
		return;
	mr_exchange_set_header(exchange, "Content-Encoding", "gzip");
	mr_gzip(body);
}

/* evhttp knows most of them, but not all of these. */
static const char *
reason_of(int status)
{
	switch (status)
	{
		case 408:
			return "Request Timeout";
		case 410:
			return "Gone";
		case 411:
			return "Length Required";
		case 415:
			return "Unsupported Media Type";
		case 421:
			return "Misdirected Request";
		case 422:
			return "Unprocessable Content";
		case 429:
			return "Too Many Requests";
		case 431:
			return "Request Header Fields Too Large";
		case 499:
			return "Client Closed Request";
		default:
			return NULL;
	}
}

static void
log_answer(const MrExchange *exchange, int64_t took_us, bool sent)
{
	MrAccessLog which = exchange->setup->access_log;

	if (which == MR_ACCESS_OFF || (which == MR_ACCESS_ERRORS && exchange->status < 500))
		return;
	mr_log(MR_LOG_INFO, "request", MR_INT("status", exchange->status),
		   MR_STR("path", exchange->path != NULL ? exchange->path : "-"), MR_INT("us", took_us),
		   MR_STR("from", exchange->client), MR_STR("trace", exchange->trace.id),
		   MR_STR("key", exchange->key != NULL ? exchange->key->name : ""),
		   MR_STR("answer", sent ? "sent" : "lost"));
}

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void
free_buffer(const void *data, size_t len, void *extra)
{
	(void) len;
	(void) extra;
	free((void *) data);
}

static void
release_text(const void *data, size_t len, void *extra)
{
	(void) data;
	(void) len;
	mr_shared_text_release(extra);
}
