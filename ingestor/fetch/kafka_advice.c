/* Advice by error code. */
#include "ingestor/fetch/kafka_advice.h"

#include <stdio.h>

#define DEFAULT_PARTITIONS 6

static void create_topic(const char *topic, const MrSettings *settings, char *out, size_t out_size);
static const char *brokers_of(const MrSettings *settings);

void
mr_kafka_advice(rd_kafka_resp_err_t err, const char *topic, const char *group_id,
				const MrSettings *settings, char *out, size_t out_size)
{
	*out = '\0';
	switch (err)
	{
		case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
			if (*topic != '\0')
				create_topic(topic, settings, out, out_size);
			break;
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
			if (*topic == '\0')
				break;
			snprintf(out, out_size,
					 "allow the Kafka user of millrace-ingestor to read topic \"%s\", as with "
					 "kafka-acls.sh --add --operation Read --topic %s",
					 topic, topic);
			break;
		case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
			snprintf(out, out_size,
					 "allow the Kafka user of millrace-ingestor to use group \"%s\", as with "
					 "kafka-acls.sh --add --operation Read --group %s",
					 group_id, group_id);
			break;
		case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
			snprintf(out, out_size,
					 "check sasl.mechanism, sasl.username and sasl.password of millrace-ingestor");
			break;
		case RD_KAFKA_RESP_ERR__SSL:
			snprintf(out, out_size,
					 "check ssl.ca.location of millrace-ingestor: the file has the certificate of "
					 "the authority that signed the broker's");
			break;
		case RD_KAFKA_RESP_ERR__RESOLVE:
			snprintf(out, out_size, "check the host names of --brokers (%s)", brokers_of(settings));
			break;
		case RD_KAFKA_RESP_ERR__TRANSPORT:
		case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		case RD_KAFKA_RESP_ERR__TIMED_OUT:
		case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
			snprintf(out, out_size,
					 "check --brokers of millrace-ingestor (%s), that Kafka runs there, and that "
					 "security.protocol is what it expects",
					 brokers_of(settings));
			break;
		default:
			snprintf(out, out_size, "%s", "");
	}
}

/* A topic's name needs no quotes in a shell. */
static void
create_topic(const char *topic, const MrSettings *settings, char *out, size_t out_size)
{
	const char *note =
		settings->properties.count > 0 ? " # with the -X properties of the running one" : "";

	snprintf(out, out_size, "millrace-ingestor --brokers '%s' --create-topic %s:%d%s",
			 brokers_of(settings), topic, DEFAULT_PARTITIONS, note);
}

static const char *
brokers_of(const MrSettings *settings)
{
	return settings->brokers != NULL && *settings->brokers != '\0' ? settings->brokers
																   : "HOST:PORT";
}
