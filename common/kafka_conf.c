/* librdkafka configuration in layers, and its log. */
#include "common/kafka_conf.h"

#include <stdio.h>
#include <string.h>
#include <stdlib.h>

#include "common/buffer.h"
#include "common/log.h"

static bool set_layer(rd_kafka_conf_t *conf, const MrKafkaProperty *layer, char *error,
					  size_t error_size);
static bool set_user(rd_kafka_conf_t *conf, const MrStrings *user, const MrKafkaProperty *forced,
					 char *error, size_t error_size);
static bool is_as_forced(const MrKafkaProperty *forced, const char *value, char *error,
						 size_t error_size);

rd_kafka_conf_t *
mr_kafka_conf_new(const MrKafkaProperty *defaults, const MrStrings *user,
				  const MrKafkaProperty *forced, char *error, size_t error_size)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	if (!set_layer(conf, defaults, error, error_size) ||
		!set_user(conf, user, forced, error, error_size) ||
		!set_layer(conf, forced, error, error_size))
	{
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	rd_kafka_conf_set_log_cb(conf, mr_kafka_log);
	return conf;
}

bool
mr_kafka_conf_has(const MrStrings *user, const char *name)
{
	size_t len = strlen(name);

	for (int i = 0; i < user->count; i++)
		if (strncmp(user->items[i], name, len) == 0 && user->items[i][len] == '=')
			return true;
	return false;
}

static bool
set_layer(rd_kafka_conf_t *conf, const MrKafkaProperty *layer, char *error, size_t error_size)
{
	for (; layer->name != NULL; layer++)
		if (layer->value != NULL && rd_kafka_conf_set(conf, layer->name, layer->value, error,
													  error_size) != RD_KAFKA_CONF_OK)
			return false;
	return true;
}

static bool
set_user(rd_kafka_conf_t *conf, const MrStrings *user, const MrKafkaProperty *forced, char *error,
		 size_t error_size)
{
	for (int i = 0; i < user->count; i++)
	{
		char *name = mr_strdup(user->items[i]);
		char *value = strchr(name, '=');
		bool ok = true;

		*value++ = '\0';
		for (const MrKafkaProperty *p = forced; ok && p->name != NULL; p++)
			if (strcmp(p->name, name) == 0)
				ok = is_as_forced(p, value, error, error_size);
		/* librdkafka's message for a wrong value repeats it: a secret's must not be shown. */
		if (ok && rd_kafka_conf_set(conf, name, value, error, error_size) != RD_KAFKA_CONF_OK)
		{
			if (strstr(name, "password") != NULL || strstr(name, "secret") != NULL ||
				strstr(name, "key") != NULL)
				snprintf(error, error_size, "property \"%s\" has a wrong value", name);
			ok = false;
		}
		free(name);
		if (!ok)
			return false;
	}
	return true;
}

/* Who says what holds anyway does no harm. */
static bool
is_as_forced(const MrKafkaProperty *forced, const char *value, char *error, size_t error_size)
{
	if (forced->value != NULL && strcmp(forced->value, value) == 0)
		return true;
	if (forced->value == NULL)
		snprintf(error, error_size,
				 "property \"%s\" is \"%s\", but the program chooses it: leave it out",
				 forced->name, value);
	else
		snprintf(
			error, error_size,
			"property \"%s\" is \"%s\", expected \"%s\", on which correctness rests: leave it out",
			forced->name, value, forced->value);
	return false;
}

void
mr_kafka_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	MrLogLevel ours = level <= 3 ? MR_LOG_WARN : level <= 6 ? MR_LOG_INFO : MR_LOG_DEBUG;

	mr_log(ours, "kafka client", MR_STR("client", rk ? rd_kafka_name(rk) : ""),
		   MR_STR("facility", facility), MR_STR("text", text));
}
