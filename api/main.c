/* millrace-api: reads its options, runs, and says with its exit status how it went. */
#include <event2/event.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/control/keys.h"
#include "api/request/edge.h"
#include "api/wire/tls.h"
#include "common/address.h"
#include "common/admin_http.h"
#include "common/dsn.h"
#include "common/log.h"
#include "common/version.h"

static int make_key(const char *spec);
static bool check(const MrApiSettings *settings, char *error, size_t error_size);
static bool check_edge(const MrApiSettings *settings, char *error, size_t error_size);
static int run(MrApiSettings *settings, int argc, char **argv);

int
main(int argc, char **argv)
{
	MrApiSettings settings = {0};
	char error[512];
	int status = 0;

	if (!mr_options_load(&mr_api_settings_table, argc, argv, &settings, error, sizeof(error)) ||
		(!settings.help && !settings.version && *settings.new_key == '\0' &&
		 !check(&settings, error, sizeof(error))))
	{
		fprintf(stderr, "millrace-api: %s\n", error);
		status = 2;
	}
	else if (settings.help)
		mr_options_help(&mr_api_settings_table, stdout);
	else if (settings.version)
		printf("millrace-api %s (libevent %s, libpq %d.%d)\n", MR_VERSION, event_get_version(),
			   PQlibVersion() / 10000, PQlibVersion() % 10000);
	else if (*settings.new_key != '\0')
		status = make_key(settings.new_key);
	else if (settings.check_config)
		printf("millrace-api: the options are valid\n");
	else
		status = run(&settings, argc, argv);
	mr_options_free(&mr_api_settings_table, &settings);
	return status;
}

static bool
check(const MrApiSettings *settings, char *error, size_t error_size)
{
	const MrTlsFiles tls = mr_api_tls_files(settings);

	return mr_dsn_check(settings->dsn, error, error_size) &&
		   mr_dsn_check(settings->operate_dsn, error, error_size) &&
		   mr_address_check("listen", settings->listen, error, error_size) &&
		   mr_admin_http_check(settings->admin_listen, error, error_size) &&
		   mr_tls_check(&tls, error, error_size) && check_edge(settings, error, error_size);
}

static bool
check_edge(const MrApiSettings *settings, char *error, size_t error_size)
{
	MrEdge edge;

	if (!mr_edge_make(&edge, (size_t) settings->gzip_bytes, &settings->origins, &settings->proxies,
					  error, error_size))
		return false;
	mr_edge_free(&edge);
	return true;
}

static int
make_key(const char *spec)
{
	MrBuffer key = {0};
	MrBuffer line = {0};
	bool ok = mr_key_make(&key, &line, spec);

	if (ok)
		printf("%s\n%s\n", mr_buffer_string(&key), mr_buffer_string(&line));
	else
		fprintf(stderr,
				"millrace-api: --new-key is \"%s\", expected NAME:SCOPE[,SCOPE...], such as "
				"ops:read,operate; the scopes are read, publish and operate\n",
				spec);
	mr_buffer_free(&key);
	mr_buffer_free(&line);
	return ok ? 0 : 2;
}

static int
run(MrApiSettings *settings, int argc, char **argv)
{
	MrApi *api;
	bool orderly;

	mr_log_setup(mr_api_settings_table.program, (MrLogLevel) settings->log_level,
				 (MrLogFormat) settings->log_format);
	api = mr_api_new(settings, argc, argv);
	if (api == NULL)
		return 1;
	orderly = mr_api_run(api);
	mr_api_free(api);
	mr_log(MR_LOG_INFO, "stopped", MR_STR("how", orderly ? "drained" : "failed"));
	return orderly ? 0 : 1;
}
