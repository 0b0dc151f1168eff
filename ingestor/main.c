/* millrace-ingestor: reads its options, runs, and says with its exit status how it went. */
#include <stdio.h>
#include <stdlib.h>

#include <libpq-fe.h>

#include "common/kafka_conf.h"
#include "common/log.h"
#include "common/version.h"
#include "ingestor/ingestor.h"

int
main(int argc, char **argv)
{
	MrSettings settings = {0};
	MrIngestor *ingestor;
	char error[512];
	bool orderly;

	if (!mr_options_load(&mr_settings_table, argc, argv, &settings, error, sizeof(error)))
	{
		fprintf(stderr, "millrace-ingestor: %s\n", error);
		return 2;
	}
	mr_log_setup(mr_settings_table.program, (MrLogLevel) settings.log_level,
				 (MrLogFormat) settings.log_format);
	if (settings.help || settings.version)
	{
		if (settings.help)
			mr_options_help(&mr_settings_table, stdout);
		else
			printf("millrace-ingestor %s (librdkafka %s, libpq %d.%d)\n", MR_VERSION,
				   rd_kafka_version_str(), PQlibVersion() / 10000, PQlibVersion() % 10000);
		mr_options_free(&mr_settings_table, &settings);
		return 0;
	}
	if (*settings.brokers == '\0' && !mr_kafka_conf_has(&settings.properties, "bootstrap.servers") &&
		!mr_kafka_conf_has(&settings.properties, "metadata.broker.list"))
	{
		fprintf(stderr, "millrace-ingestor: no Kafka brokers given (--brokers, MILLRACE_BROKERS)\n");
		mr_options_free(&mr_settings_table, &settings);
		return 2;
	}
	if (settings.create_topics.count > 0)
	{
		bool ok = mr_kafka_create_topics(&settings.create_topics, settings.brokers,
										 &settings.properties);

		mr_options_free(&mr_settings_table, &settings);
		return ok ? 0 : 1;
	}
	ingestor = mr_ingestor_new(&settings, argc, argv);
	if (ingestor == NULL)
		return 1;
	orderly = mr_ingestor_run(ingestor);
	mr_log(MR_LOG_INFO, "stopped", MR_STR("how", orderly ? "drained" : "at once"));
	/* In a hurry nothing is waited for: what is not committed never happened. */
	if (!orderly)
		_Exit(1);
	mr_ingestor_free(ingestor);
	return 0;
}
