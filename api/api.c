#include "api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api_metrics.h"
#include "api/request/host.h"
#include "common/address.h"
#include "common/log.h"

#define FLUSH_MS 2000 /* for messages that are sent and not acknowledged */

#define END_MS 20 /* between looks whether the workers have ended */

static void on_terminate(void *owner);
static void on_end(evutil_socket_t fd, short what, void *arg);
static void on_reload(void *owner);
static void on_relation_failed(void *owner, const MrPgError *error);
static bool open_producer(MrApi *api);
static bool read_edge(MrApi *api);
static bool read_access(MrApi *api);
static bool read_certificate(MrApi *api);
static void read_certificate_again(MrApi *api);
static void log_certificate(MrApi *api);
static bool may_listen(const MrApi *api, const char *address);
static bool find_address(MrApi *api, char *address, size_t size);
static bool start_workers(MrApi *api);

MrTlsFiles
mr_api_tls_files(const MrApiSettings *settings)
{
	return (MrTlsFiles){settings->tls_certificate, settings->tls_key, (int) settings->tls_minimum};
}

MrApi *
mr_api_new(MrApiSettings *settings, int argc, char **argv)
{
	static const MrSignals signals = {on_terminate, on_reload};
	static const MrAdminCallbacks admin = {mr_api_metrics, mr_api_ready};
	MrApi *api = mr_calloc(1, sizeof(*api));
	bool ok;

	api->settings = *settings;
	*settings = (MrApiSettings){0};
	api->argc = argc;
	api->argv = argv;
	mr_cursor_secret_make(&api->secret, api->settings.cursor_secret);
	api->loop = mr_loop_new(&signals, api);
	api->canceller = mr_canceller_new();
	ok = api->loop != NULL && api->canceller != NULL;
	if (!ok)
		mr_log(MR_LOG_ERROR, "could not set up the event loop");
	else
	{
		const MrPoolSetup pool = {.base = mr_loop_base(api->loop),
								  .dsn = api->settings.dsn,
								  .connections = 1,
								  .query_ms = api->settings.query_ms,
								  .canceller = api->canceller};

		api->tail = mr_event_tail_new(pool.base, &pool, &api->relation);
		api->statistics = mr_statistics_source_new(&pool);
		if (*api->settings.brokers != '\0')
			api->waits = mr_event_wait_source_new(&pool, api->settings.topic);
		api->end = evtimer_new(mr_loop_base(api->loop), on_end, api);
		api->describe = mr_describe_new(mr_loop_base(api->loop), &api->settings, &api->relation,
										on_relation_failed, api);
	}
	if (!ok ||
		!mr_admin_http_open(mr_loop_base(api->loop), api->settings.admin_listen, &admin, api,
							&api->admin) ||
		!read_edge(api) || !read_certificate(api) || !read_access(api) || !open_producer(api) ||
		!start_workers(api))
	{
		mr_api_free(api);
		return NULL;
	}
	mr_describe_ask(api->describe);
	return api;
}

bool
mr_api_run(MrApi *api)
{
	mr_loop_run(api->loop);
	return !api->failed;
}

void
mr_api_free(MrApi *api)
{
	if (api == NULL)
		return;
	for (int i = 0; i < api->worker_count; i++)
		mr_worker_stop(api->workers[i], 0); /* those that have not ended: something failed */
	for (int i = 0; i < api->worker_count; i++)
		mr_worker_free(api->workers[i]);
	free(api->workers);
	mr_event_tail_free(api->tail);
	mr_statistics_source_free(api->statistics);
	mr_event_wait_source_free(api->waits);
	mr_producer_free(api->producer, FLUSH_MS);
	mr_admin_http_free(api->admin);
	mr_describe_free(api->describe);
	if (api->end != NULL)
		event_free(api->end);
	mr_canceller_free(api->canceller);
	mr_keyring_free(&api->keyring);
	mr_edge_free(&api->edge);
	mr_tls_free(api->tls);
	mr_loop_free(api->loop);
	mr_options_free(&mr_api_settings_table, &api->settings);
	free(api);
}

/* The loop goes on until the workers have ended: /readyz says meanwhile that they are draining. */
static void
on_terminate(void *owner)
{
	MrApi *api = owner;

	if (++api->terminations > 1)
	{
		mr_log(MR_LOG_WARN, "stopping at once");
		_exit(1);
	}
	mr_log(MR_LOG_INFO, "draining");
	for (int i = 0; i < api->worker_count; i++)
		mr_worker_stop(api->workers[i], api->settings.drain_ms);
	mr_timer_set(api->end, 0);
}

static void
on_end(evutil_socket_t fd, short what, void *arg)
{
	MrApi *api = arg;
	bool ended = true;

	(void) fd;
	(void) what;
	for (int i = 0; i < api->worker_count; i++)
		ended = ended && mr_worker_has_ended(api->workers[i]);
	if (ended)
		mr_loop_stop(api->loop);
	else
		mr_timer_set(api->end, END_MS);
}

static void
on_reload(void *owner)
{
	MrApi *api = owner;
	MrApiSettings fresh = {0};
	char error[512];

	if (mr_options_load(&mr_api_settings_table, api->argc, api->argv, &fresh, error, sizeof(error)))
	{
		mr_options_reload(&mr_api_settings_table, &api->settings, &fresh, mr_options_log_change);
		mr_log_setup(mr_api_settings_table.program, (MrLogLevel) api->settings.log_level,
					 (MrLogFormat) api->settings.log_format);
		mr_log(MR_LOG_INFO, "options reloaded");
	}
	else
		mr_log(MR_LOG_ERROR, "options not reloaded", MR_STR("error", error));
	mr_options_free(&mr_api_settings_table, &fresh);
	if (*api->settings.keys != '\0' && !mr_keyring_read(&api->keyring, api->settings.keys))
		mr_log(MR_LOG_WARN, "revoked keys still hold");
	read_certificate_again(api);
	mr_describe_ask(api->describe);
}

static void
on_relation_failed(void *owner, const MrPgError *error)
{
	MrApi *api = owner;
	const char *hint = error->hint;

	/* the extension, or its version: there is no such schema, function or column of what it returns */
	if (strcmp(error->sqlstate, "3F000") == 0 || strcmp(error->sqlstate, "42883") == 0 ||
		strcmp(error->sqlstate, "42703") == 0)
		hint = "CREATE EXTENSION millrace; in this database, or update it.";
	mr_log(MR_LOG_ERROR, "the relation behind /events cannot be served",
		   MR_STR("relation", api->settings.events), MR_STR("sqlstate", error->sqlstate),
		   MR_STR("error", error->message), MR_STR("hint", hint));
	if (atomic_load(&api->relation) != NULL)
		return;
	api->failed = true;
	mr_loop_stop(api->loop);
}

static bool
open_producer(MrApi *api)
{
	const MrProducerSetup setup = {.brokers = api->settings.brokers,
								   .properties = &api->settings.properties,
								   .topic = api->settings.topic,
								   .publish_ms = api->settings.publish_ms};
	char error[512];

	if (*api->settings.brokers == '\0')
		return true;
	api->producer = mr_producer_new(&setup, error, sizeof(error));
	if (api->producer == NULL)
		mr_log(MR_LOG_ERROR, "could not set up the producer", MR_STR("error", error));
	return api->producer != NULL;
}

static bool
read_edge(MrApi *api)
{
	const MrApiSettings *settings = &api->settings;
	char error[512];

	if (mr_edge_make(&api->edge, (size_t) settings->gzip_bytes, &settings->origins,
					 &settings->proxies, error, sizeof(error)))
	{
		api->edge.limiter = mr_limiter_new(settings->rate, 1000, settings->rate_burst);
		api->edge.wrong_keys = mr_wrong_keys_new(settings->wrong_keys);
		api->budget.limit = (size_t) settings->buffer_bytes;
		return true;
	}
	mr_log(MR_LOG_ERROR, "an option is not valid", MR_STR("error", error));
	return false;
}

static bool
read_certificate(MrApi *api)
{
	const MrTlsFiles files = mr_api_tls_files(&api->settings);
	char error[512];

	if (*files.certificate == '\0')
		return true;
	api->tls = mr_tls_new(&files, error, sizeof(error));
	if (api->tls == NULL)
		mr_log(MR_LOG_ERROR, "could not read the certificate", MR_STR("error", error));
	else
		log_certificate(api);
	return api->tls != NULL;
}

static void
read_certificate_again(MrApi *api)
{
	char error[512];

	if (api->tls == NULL)
		return;
	if (mr_tls_read(api->tls, error, sizeof(error)))
		log_certificate(api);
	else
		mr_log(MR_LOG_ERROR, "could not read the certificate", MR_STR("error", error),
			   MR_STR("hint", "The one of before is served until the files are right and SIGHUP is "
							  "sent again."));
}

static void
log_certificate(MrApi *api)
{
	MrTlsState state;

	mr_tls_state(api->tls, &state);
	mr_log(MR_LOG_INFO, "certificate read", MR_STR("file", api->settings.tls_certificate),
		   MR_INT("expires_in_days", (state.expires_s - mr_wall_ms() / 1000) / 86400));
}

/* What a request without a key may do follows from whether there are keys, unless it was said. */
static bool
read_access(MrApi *api)
{
	const MrStrings *anonymous = &api->settings.anonymous;

	if (*api->settings.keys != '\0' && !mr_keyring_read(&api->keyring, api->settings.keys))
		return false;
	if (anonymous->count == 0 && *api->settings.keys == '\0')
		api->anonymous = MR_SCOPE_READ | MR_SCOPE_PUBLISH;
	for (int i = 0; i < anonymous->count; i++)
	{
		unsigned scopes = 0;

		if (strcmp(anonymous->items[i], "none") != 0 &&
			!mr_scopes_read(&scopes, anonymous->items[i]))
		{
			mr_log(MR_LOG_ERROR, "--anonymous is not a list of scopes",
				   MR_STR("anonymous", anonymous->items[i]),
				   MR_STR("hint", "the scopes are read, publish and operate; none for no access"));
			return false;
		}
		api->anonymous |= scopes;
	}
	return true;
}

/* Who can reach another address is not known, and what may be done without a key there is little. */
static bool
may_listen(const MrApi *api, const char *address)
{
	if (mr_address_is_loopback(address))
		return true;
	if (*api->settings.keys == '\0')
		mr_log(MR_LOG_ERROR, "--listen is not a loopback address, and there are no keys",
			   MR_STR("listen", address),
			   MR_STR("hint", "make keys with --new-key and name their file with --keys, or put a "
							  "reverse proxy that has access control in front of it"));
	else if (api->anonymous & MR_SCOPE_OPERATE)
		mr_log(MR_LOG_ERROR, "--anonymous has operate, and --listen is not a loopback address",
			   MR_STR("listen", address), MR_STR("hint", "use keys with the scope operate"));
	else
	{
		if (api->tls == NULL)
			mr_log(MR_LOG_WARN, "keys and events are sent in clear text", MR_STR("listen", address),
				   MR_STR("hint",
						  "give a certificate with --tls-certificate, or put a reverse proxy "
						  "with TLS in front of it, unless the network is trusted"));
		return true;
	}
	return false;
}

/* Where it will listen, and whether it may: at sockets that were passed to it, without any where --listen says. */
static bool
find_address(MrApi *api, char *address, size_t size)
{
	char error[256];

	if (!mr_inherited_take(&api->inherited, error, sizeof(error)))
	{
		mr_log(MR_LOG_ERROR, "could not use the sockets that were passed", MR_STR("error", error));
		return false;
	}
	for (int i = 0; i < api->inherited.count; i++)
		if (!mr_address_of(api->inherited.fds[i], address, size) || !may_listen(api, address))
			return false;
	if (api->inherited.count > 0)
		return true;
	if (mr_address_split(api->settings.listen, address, size, &api->port))
		return may_listen(api, address);
	mr_log(MR_LOG_ERROR, "--listen is not ADDRESS:PORT", MR_STR("listen", api->settings.listen));
	return false;
}

static bool
start_workers(MrApi *api)
{
	int64_t processors = sysconf(_SC_NPROCESSORS_ONLN);
	int64_t threads = api->settings.threads > 0     ? api->settings.threads
					  : processors > MR_THREADS_MAX ? MR_THREADS_MAX
													: processors;
	char address[128];
	char error[256] = "";
	MrWorkerSetup setup = {.settings = &api->settings,
						   .inherited = &api->inherited,
						   .address = address,
						   .canceller = api->canceller,
						   .relation = &api->relation,
						   .describe = api->describe,
						   .keys = &api->keyring.keys,
						   .anonymous = api->anonymous,
						   .edge = &api->edge,
						   .budget = &api->budget,
						   .tls = api->tls,
						   .tail = api->tail,
						   .statistics = api->statistics,
						   .waits = api->waits,
						   .secret = &api->secret,
						   .producer = api->producer};

	if (!find_address(api, address, sizeof(address)))
		return false;
	if (threads < api->inherited.count)
		threads = api->inherited.count; /* nobody would take what comes to the others */
	api->workers = mr_calloc((size_t) threads, sizeof(*api->workers));
	for (int i = 0; i < threads; i++)
	{
		MrWorker *worker = mr_worker_new(&setup, i, &api->port, error, sizeof(error));

		if (worker == NULL)
		{
			mr_log(MR_LOG_ERROR, "could not start", MR_STR("error", error),
				   MR_STR("hint", "choose another address or port with --listen"));
			return false;
		}
		api->workers[api->worker_count++] = worker;
	}
	mr_log(MR_LOG_INFO, "listening", MR_STR("address", address), MR_INT("port", api->port),
		   MR_INT("inherited", api->inherited.count), MR_INT("threads", threads),
		   MR_STR("tls", api->tls != NULL ? "on" : "off"));
	return true;
}
