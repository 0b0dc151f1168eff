/* /metrics, /livez, /readyz by evhttp. */
#include "common/admin_http.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define MAX_HEADER_BYTES 8192
#define TIMEOUT_S        5

struct MrAdminHttp
{
	struct evhttp *http;
	struct evhttp_bound_socket *socket;
	MrAdminCallbacks callbacks;
	void *owner;
};

static bool split_address(const char *listen, char *host, size_t host_size, int *port);
static void on_metrics(struct evhttp_request *request, void *arg);
static void on_live(struct evhttp_request *request, void *arg);
static void on_ready(struct evhttp_request *request, void *arg);
static void on_other(struct evhttp_request *request, void *arg);
static void reply(struct evhttp_request *request, int status, const char *type, MrBuffer *text);

MrAdminHttp *
mr_admin_http_new(struct event_base *base, const char *listen, const MrAdminCallbacks *callbacks,
				  void *owner, char *error, size_t error_size)
{
	MrAdminHttp *admin;
	char host[128];
	int port;

	if (!split_address(listen, host, sizeof(host), &port))
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
	union
	{
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address;
	socklen_t len = sizeof(address);

	memset(&address, 0, sizeof(address));
	if (getsockname(evhttp_bound_socket_get_fd(admin->socket), &address.any, &len) != 0)
		return 0;
	return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

void
mr_admin_http_free(MrAdminHttp *admin)
{
	if (admin == NULL)
		return;
	if (admin->http != NULL)
		evhttp_free(admin->http);
	free(admin);
}

static bool
split_address(const char *listen, char *host, size_t host_size, int *port)
{
	const char *colon = strrchr(listen, ':');
	size_t len = colon ? (size_t) (colon - listen) : 0;
	char *end;

	if (colon == NULL || len == 0 || len >= host_size)
		return false;
	if (listen[0] == '[' && listen[len - 1] == ']')
	{
		listen++;
		len -= 2;
	}
	memcpy(host, listen, len);
	host[len] = '\0';
	*port = (int) strtol(colon + 1, &end, 10);
	return colon[1] != '\0' && *end == '\0' && *port >= 0 && *port <= 65535;
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
