/* millrace-ingestor: reads its options, runs, and says with its exit status how it went. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "common/admin_http.h"
#include "common/dsn.h"
#include "common/kafka_conf.h"
#include "common/kafka_topics.h"
#include "common/log.h"
#include "common/version.h"
#include "ingestor/fetch/consumer_conf.h"
#include "ingestor/ingestor.h"
#include "ingestor/relay/relay_kafka.h"

static bool check(const MrSettings *settings, char *error, size_t error_size);
static bool check_brokers(const MrSettings *settings, char *error, size_t error_size);
static void print_version(void);
static void give_memory_back(void);
static int run(MrSettings *settings, int argc, char **argv);

int
main(int argc, char **argv)
{
	MrSettings settings = {0};
	char error[512];
	int status = 0;

	give_memory_back();
	if (!mr_options_load(&mr_settings_table, argc, argv, &settings, error, sizeof(error)) ||
		(!settings.help && !settings.version && !check(&settings, error, sizeof(error))))
	{
		fprintf(stderr, "millrace-ingestor: %s\n", error);
		status = 2;
	}
	else if (settings.help)
		mr_options_help(&mr_settings_table, stdout);
	else if (settings.version)
		print_version();
	else if (settings.check_config)
		printf("millrace-ingestor: the options are valid\n");
	else
		status = run(&settings, argc, argv);
	mr_options_free(&mr_settings_table, &settings);
	return status;
}

static bool
check(const MrSettings *settings, char *error, size_t error_size)
{
	return mr_dsn_check(settings->dsn, error, error_size) &&
		   mr_admin_http_check(settings->admin_listen, error, error_size) &&
		   check_brokers(settings, error, error_size);
}

static bool
check_brokers(const MrSettings *settings, char *error, size_t error_size)
{
	if (*settings->brokers == '\0' &&
		!mr_kafka_conf_has(&settings->properties, "bootstrap.servers") &&
		!mr_kafka_conf_has(&settings->properties, "metadata.broker.list"))
	{
		snprintf(error, error_size, "no Kafka brokers given (--brokers or MILLRACE_BROKERS)");
		return false;
	}
	return mr_consumer_conf_check(settings, error, error_size) &&
		   mr_relay_kafka_check(&settings->properties, error, error_size);
}

static void
print_version(void)
{
	printf("millrace-ingestor %s (librdkafka %s, libpq %d.%d)\n", MR_VERSION,
		   rd_kafka_version_str(), PQlibVersion() / 10000, PQlibVersion() % 10000);
}

/*
 * librdkafka's threads allocate what the main thread frees, much at once and then for long nothing. By default each thread
 * has an arena that keeps its peak: ten pipelines kept 25 times the --fetch-buffer.
 */
static void
give_memory_back(void)
{
#ifdef __GLIBC__
	(void) mallopt(M_ARENA_MAX, 2);
	(void) mallopt(M_MMAP_THRESHOLD, 64 * 1024);
	(void) mallopt(M_TRIM_THRESHOLD, 256 * 1024);
#endif
}

static int
run(MrSettings *settings, int argc, char **argv)
{
	MrIngestor *ingestor;
	bool orderly;

	mr_log_setup(mr_settings_table.program, (MrLogLevel) settings->log_level,
				 (MrLogFormat) settings->log_format);
	if (settings->create_topics.count > 0)
		return mr_kafka_create_topics(&settings->create_topics, settings->brokers,
									  &settings->properties)
				   ? 0
				   : 1;
	ingestor = mr_ingestor_new(settings, argc, argv);
	if (ingestor == NULL)
		return 1;
	orderly = mr_ingestor_run(ingestor);
	mr_log(MR_LOG_INFO, "stopped", MR_STR("how", orderly ? "drained" : "at once"));
	/* In a hurry nothing is waited for: what is not committed never happened. */
	if (!orderly)
		_Exit(1);
	if (!mr_ingestor_free(ingestor))
		_Exit(0);
	return 0;
}
