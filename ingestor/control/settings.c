/* The table of the ingestor's options: --help, docs and the three sources of values all follow it. */
#include "ingestor/control/settings.h"

#define FIELD(name) offsetof(MrSettings, name)

/* Brackets in --help show the default. */
static const MrOption options[] = {
	{"config", 'c', MR_OPTION_TEXT, FIELD(config), "FILE", NULL, 0, 0, NULL, false,
	 "read options from this file"},
	{"dsn", 'd', MR_OPTION_SECRET, FIELD(dsn), "CONNINFO", "", 0, 0, NULL, false,
	 "PostgreSQL connection string or URI; what is missing comes from PGHOST, PGSERVICE, ..."},
	{"brokers", 'b', MR_OPTION_TEXT, FIELD(brokers), "HOST:PORT[,...]", "", 0, 0, NULL, false,
	 "Kafka brokers to connect to first"},
	{"pipeline", 'p', MR_OPTION_LIST, FIELD(pipelines), "NAME", "", 0, 0, NULL, true,
	 "serve this pipeline only (repeatable); all of the database's when not given"},
	{"property", 'X', MR_OPTION_PROPERTIES, FIELD(properties), "NAME=VALUE", NULL, 0, 0, NULL,
	 false, "librdkafka property (repeatable); in the file: kafka.NAME = VALUE"},
	{"create-topic", 0, MR_OPTION_LIST, FIELD(create_topics), "NAME:N[:R[:MS]]", NULL, 0, 0, NULL,
	 false, "create a topic of N partitions, R replicas, MS retention (repeatable), and exit"},
	{"admin-listen", 'a', MR_OPTION_TEXT, FIELD(admin_listen), "ADDRESS:PORT", "127.0.0.1:9465", 0,
	 0, NULL, false, "serve /metrics, /livez and /readyz here; \"off\" to serve none"},
	{"log-level", 'l', MR_OPTION_CHOICE, FIELD(log_level), "LEVEL", "info", 0, 0,
	 "error|warn|info|debug", true, "how much to log"},
	{"log-format", 0, MR_OPTION_CHOICE, FIELD(log_format), "FORMAT", "logfmt", 0, 0, "logfmt|json",
	 true, "how to log"},
	{"batch-rows", 0, MR_OPTION_INT, FIELD(batch_rows), "N", "5000", 1, 1000000, NULL, true,
	 "close a batch at this number of events"},
	{"batch-bytes", 0, MR_OPTION_SIZE, FIELD(batch_bytes), "SIZE", "1MB", 1024, 256 << 20, NULL,
	 true, "close a batch at this size"},
	{"max-message-bytes", 0, MR_OPTION_SIZE, FIELD(max_message_bytes), "SIZE", "16MB", 1024,
	 512 << 20, NULL, true, "stage a larger message without its payload; it becomes a dead letter"},
	{"fetch-buffer", 0, MR_OPTION_SIZE, FIELD(fetch_buffer_bytes), "SIZE", "48MB", 1 << 20, 1 << 30,
	 NULL, false, "limit of memory for events fetched but not yet staged, all pipelines together"},
	{"poll-interval", 0, MR_OPTION_MS, FIELD(poll_ms), "TIME", "2s", 100, 60000, NULL, true,
	 "how often to look for new pipelines, lost partitions and settled positions"},
	{"topic-refresh", 0, MR_OPTION_MS, FIELD(topic_refresh_ms), "TIME", "10s", 1000, 600000, NULL,
	 true, "how often to look for new topics that the pattern of a pipeline matches"},
	{"hold-after", 0, MR_OPTION_MS, FIELD(hold_after_ms), "TIME", "1500ms", 100, 60000, NULL, true,
	 "stop fetching the partitions of a lane that is blocked for this long"},
	{"drain-timeout", 0, MR_OPTION_MS, FIELD(drain_ms), "TIME", "1s", 0, 60000, NULL, true,
	 "how long to wait after SIGTERM for staged events to be settled"},
	{"check-config", 0, MR_OPTION_SWITCH, FIELD(check_config), NULL, NULL, 0, 0, NULL, false,
	 "look at the options, say what is wrong with them, and exit: 0 nothing, 2 something"},
	{"help", 'h', MR_OPTION_SWITCH, FIELD(help), NULL, NULL, 0, 0, NULL, false,
	 "print this and exit"},
	{"version", 'V', MR_OPTION_SWITCH, FIELD(version), NULL, NULL, 0, 0, NULL, false,
	 "print the version and exit"},
};

const MrOptionTable mr_settings_table = {
	.program = "millrace-ingestor",
	.summary =
		"Takes events from Kafka and stages them in PostgreSQL, where Millrace's workers run\n"
		"the pipelines. Any number of ingestors share the work.",
	.prefix = "MILLRACE",
	.options = options,
	.count = (int) (sizeof(options) / sizeof(options[0])),
	.config = 0,
};
