/* The ingestor's options, filled from flags, environment and file (common/options.h). */
#ifndef MR_INGESTOR_SETTINGS_H
#define MR_INGESTOR_SETTINGS_H

#include "common/options.h"

typedef struct MrSettings
{
	char *config;
	char *dsn;
	MrStrings pipelines; /* empty: all that the server runs */
	MrStrings properties;
	MrStrings create_topics;
	char *brokers;
	char *admin_listen;
	int64_t log_level;
	int64_t log_format;
	int64_t batch_rows;
	int64_t batch_bytes;
	int64_t max_message_bytes;
	int64_t fetch_buffer_bytes;
	int64_t poll_ms;
	int64_t topic_refresh_ms;
	int64_t hold_after_ms;
	int64_t drain_ms;
	bool check_config;
	bool help;
	bool version;
} MrSettings;

extern const MrOptionTable mr_settings_table;

#endif
