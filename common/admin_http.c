/* /metrics, /livez, /readyz by evhttp. */
#include "common/admin_http.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/address.h"
#include "common/eventloop.h"
#include "common/log.h"

#define MAX_HEADER_BYTES 8192
#define TIMEOUT_S        5
#define MAX_CONNECTIONS  32 /* the others wait in the listen queue; TIMEOUT_S makes room */
#define SWEEP_MS         50 /* also how long a failure to accept, such as too many open files, pauses it */

struct MrAdminHttp
{
	struct evhttp *http;
	struct evhttp_bound_socket *socket;
	struct evconnlistener *listener; /* of the socket */
	struct event *tick;
	struct bufferevent *held[MAX_CONNECTIONS];
	int connections; /* in held */
	MrAdminHttp *next;
	MrAdminCallbacks callbacks;
	void *owner;
};

static MrAdminHttp *admins; /* main thread only */

static bool is_off(const char *listen);
static void on_metrics(struct evhttp_request *request, void *arg);
static void on_live(struct evhttp_request *request, void *arg);
static void on_ready(struct evhttp_request *request, void *arg);
static void on_other(struct evhttp_request *request, void *arg);
static struct bufferevent *new_connection(struct event_base *base, void *arg);
static void sweep(MrAdminHttp *admin);
static void on_accept_error(struct evconnlistener *listener, void *arg);
static void on_tick(evutil_socket_t fd, short what, void *arg);
static void reply(struct evhttp_request *request, int status, const char *type, MrBuffer *text);

MrAdminHttp *
mr_admin_http_new(struct event_base *base, const char *listen, const MrAdminCallbacks *callbacks,
				  void *owner, char *error, size_t error_size)
{
	MrAdminHttp *admin;
	char host[128];
	int port;

	if (!mr_address_split(listen, host, sizeof(host), &port))
	{
		snprintf(error, error_size, "\"%s\" is not address:port", listen);
		return NULL;
	}
	admin = mr_calloc(1, sizeof(*admin));
	admin->callbacks = *callbacks;
	admin->owner = owner;
	admin->http = evhttp_new(base);
	if (admin->http != NULL)
		admin->socket = evhttp_bind_socket_with_handle(admin->http, host, (ev_uint16_t) port);
	if (admin->socket == NULL)
	{
		snprintf(error, error_size, "could not listen on %s: %m", listen);
		mr_admin_http_free(admin);
		return NULL;
	}
	admin->next = admins;
	admins = admin;
	admin->tick = evtimer_new(base, on_tick, admin);
	admin->listener = evhttp_bound_socket_get_listener(admin->socket);
	evconnlistener_set_error_cb(admin->listener, on_accept_error);
	evhttp_set_bevcb(admin->http, new_connection, admin);
	evhttp_set_timeout(admin->http, TIMEOUT_S);
	evhttp_set_max_headers_size(admin->http, MAX_HEADER_BYTES);
	evhttp_set_max_body_size(admin->http, 0);
	evhttp_set_allowed_methods(admin->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_cb(admin->http, "/metrics", on_metrics, admin);
	evhttp_set_cb(admin->http, "/livez", on_live, admin);
	evhttp_set_cb(admin->http, "/readyz", on_ready, admin);
	evhttp_set_gencb(admin->http, on_other, admin);
	return admin;
}

int
mr_admin_http_port(const MrAdminHttp *admin)
{
	return mr_address_port(evhttp_bound_socket_get_fd(admin->socket));
}

bool
mr_admin_http_check(const char *listen, char *error, size_t error_size)
{
	return is_off(listen) || mr_address_check("admin-listen", listen, error, error_size);
}

bool
mr_admin_http_open(struct event_base *base, const char *listen, const MrAdminCallbacks *callbacks,
				   void *owner, MrAdminHttp **admin)
{
	char error[512];

	if (is_off(listen))
		return true;
	*admin = mr_admin_http_new(base, listen, callbacks, owner, error, sizeof(error));
	if (*admin == NULL)
	{
		mr_log(MR_LOG_ERROR, "could not open the admin port", MR_STR("error", error),
			   MR_STR("hint", "choose another with --admin-listen, or \"off\""));
		return false;
	}
	mr_log(MR_LOG_INFO, "admin port open", MR_STR("listen", listen),
		   MR_INT("port", mr_admin_http_port(*admin)));
	return true;
}

void
mr_admin_http_free(MrAdminHttp *admin)
{
	if (admin == NULL)
		return;
	for (MrAdminHttp **link = &admins; *link != NULL; link = &(*link)->next)
		if (*link == admin)
		{
			*link = admin->next;
			break;
		}
	if (admin->http != NULL)
		evhttp_free(admin->http);
	sweep(admin);
	if (admin->tick != NULL)
		event_free(admin->tick);
	free(admin);
}

/*
 * evhttp neither counts its connections nor reports their end. So each one's bufferevent is held by a reference of
 * ours: evhttp clears its callbacks when it has done with it, which the sweep sees.
 */
static struct bufferevent *
new_connection(struct event_base *base, void *arg)
{
	MrAdminHttp *admin = arg;
	struct bufferevent *connection;

	sweep(admin); /* all but this one have their callbacks */
	connection = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (connection == NULL || admin->connections == MAX_CONNECTIONS)
		return connection;
	bufferevent_incref(connection);
	admin->held[admin->connections++] = connection;
	if (admin->connections == MAX_CONNECTIONS)
		evconnlistener_disable(admin->listener);
	mr_timer_set(admin->tick, SWEEP_MS);
	return connection;
}

static void
sweep(MrAdminHttp *admin)
{
	int kept = 0;

	for (int i = 0; i < admin->connections; i++)
	{
		bufferevent_event_cb in_use;

		bufferevent_getcb(admin->held[i], NULL, NULL, &in_use, NULL);
		if (in_use != NULL)
			admin->held[kept++] = admin->held[i];
		else
			bufferevent_decref(admin->held[i]);
	}
	admin->connections = kept;
}

/* The connection that cannot be accepted keeps the socket readable: without a pause the loop would spin. */
static void
on_accept_error(struct evconnlistener *listener, void *arg)
{
	const char *why = evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR());
	MrAdminHttp *admin = admins;

	while (admin != NULL &&
		   admin->http != arg) /* evhttp has set the listener's argument to itself */
		admin = admin->next;
	evconnlistener_disable(listener);
	if (admin == NULL)
		return;
	mr_log(MR_LOG_WARN, "the admin port cannot accept connections", MR_STR("error", why));
	mr_timer_set(admin->tick, SWEEP_MS);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	MrAdminHttp *admin = arg;

	(void) fd;
	(void) what;
	sweep(admin);
	if (admin->connections < MAX_CONNECTIONS)
		evconnlistener_enable(admin->listener);
	if (admin->connections > 0)
		mr_timer_set(admin->tick, SWEEP_MS);
}

static bool
is_off(const char *listen)
{
	return *listen == '\0' || strcmp(listen, "off") == 0;
}

static void
on_metrics(struct evhttp_request *request, void *arg)
{
	MrAdminHttp *admin = arg;
	MrBuffer text = {0};

	admin->callbacks.metrics(admin->owner, &text);
	reply(request, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", &text);
}

static void
on_live(struct evhttp_request *request, void *arg)
{
	MrBuffer text = {0};

	(void) arg;
	mr_buffer_printf(&text, "ok\n");
	reply(request, HTTP_OK, "text/plain", &text);
}

static void
on_ready(struct evhttp_request *request, void *arg)
{
	MrAdminHttp *admin = arg;
	MrBuffer text = {0};
	bool ready = admin->callbacks.ready(admin->owner, &text);

	if (ready)
		mr_buffer_printf(&text, "ok\n");
	reply(request, ready ? HTTP_OK : HTTP_SERVUNAVAIL, "text/plain", &text);
}

static void
on_other(struct evhttp_request *request, void *arg)
{
	MrBuffer text = {0};

	(void) arg;
	mr_buffer_printf(&text, "here are /metrics, /livez and /readyz\n");
	reply(request, HTTP_NOTFOUND, "text/plain", &text);
}

static void
reply(struct evhttp_request *request, int status, const char *type, MrBuffer *text)
{
	struct evbuffer *body = evbuffer_new();

	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", type);
	if (evhttp_request_get_command(request) != EVHTTP_REQ_HEAD)
		evbuffer_add(body, text->data, text->len);
	evhttp_send_reply(request, status, NULL, body);
	evbuffer_free(body);
	mr_buffer_free(text);
}
