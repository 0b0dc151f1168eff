/* The API's options, filled from flags, environment and file (common/options.h). */
#ifndef MR_API_SETTINGS_H
#define MR_API_SETTINGS_H

#include "common/options.h"

#define MR_THREADS_MAX 64

typedef struct MrApiSettings
{
	char *config;
	char *dsn;
	char *operate_dsn; /* "": nothing is operated */
	char *listen;
	char *tls_certificate; /* "": in clear text */
	char *tls_key;
	int64_t tls_minimum;
	char *keys;           /* "": there are none */
	MrStrings anonymous;  /* scopes of requests without a key; empty: by whether there are keys */
	char *new_key;        /* not "": make one, and no more */
	MrStrings hosts;      /* names besides the loopback's that these may be for */
	MrStrings origins;    /* of pages that may use the API */
	MrStrings proxies;    /* addresses and networks whose X-Forwarded-For counts */
	int64_t gzip_bytes;   /* answers from this size on are compressed; 0: none */
	int64_t rate;         /* requests per second of each client; 0: any */
	int64_t rate_burst;   /* at once, after a pause */
	int64_t wrong_keys;   /* per minute from each address; 0: any number */
	int64_t buffer_bytes; /* of all requests and answers together */
	int64_t threads;      /* 0: one for each CPU */
	int64_t pool;         /* connections to PostgreSQL of each thread */
	char *events;         /* the relation behind /events */
	char *id_column;
	char *time_column;
	char *xid_column;
	char *cursor_secret;
	char *brokers; /* "": nothing is published */
	char *topic;
	MrStrings properties;
	int64_t publish_ms;
	int64_t query_ms;
	int64_t head_ms;
	int64_t idle_ms;
	int64_t drain_ms;
	int64_t max_connections; /* of each thread */
	int64_t max_body_bytes;
	int64_t max_streams; /* of each thread */
	int64_t stream_buffer_bytes;
	int64_t heartbeat_ms;
	char *admin_listen;
	int64_t log_level;
	int64_t log_format;
	int64_t access_log;
	bool check_config;
	bool help;
	bool version;
} MrApiSettings;

extern const MrOptionTable mr_api_settings_table;

#endif
