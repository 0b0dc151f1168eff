/*
 * devbroker.c: millrace-devbroker, an embedded development broker: librdkafka's mock cluster on a loopback
 * port that the system chooses. Real TCP, consumer groups, idempotence, transactions; no Java, no disk.
 *
 * It keeps the newest 5 MB or so of each partition in memory and forgets everything when it ends: for
 * demonstrations and development, never for data. Producers have to pace themselves by their consumers.
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum
{
	MAX_TOPICS = 64,
	DEFAULT_PARTITIONS = 6
};

static const char usage_text[] =
	"usage: millrace-devbroker [--address-file FILE] [--topic NAME[:PARTITIONS]]...\n"
	"an in-memory Kafka broker for development; runs until SIGTERM or SIGINT\n\n"
	"  -a, --address-file FILE  write host:port here when ready (default: standard output)\n"
	"  -t, --topic NAME[:N]     create a topic of N partitions (default: 6)\n";

static void
usage(int status)
{
	fputs(usage_text, status == 0 ? stdout : stderr);
	exit(status);
}

static void
create_topic(rd_kafka_mock_cluster_t *cluster, char *spec)
{
	char *colon = strchr(spec, ':');
	int partitions = colon != NULL ? atoi(colon + 1) : DEFAULT_PARTITIONS;
	rd_kafka_resp_err_t error;

	if (colon != NULL)
		*colon = '\0';
	if (partitions < 1)
		usage(2);
	error = rd_kafka_mock_topic_create(cluster, spec, partitions, 1);
	if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		fprintf(stderr, "topic %s: %s\n", spec, rd_kafka_err2str(error));
		exit(1);
	}
}

/* Written under another name first: who waits for the file must not read half of it. */
static void
publish(const char *file, const char *address)
{
	char temporary[4096];
	FILE *out;

	if (file == NULL)
	{
		puts(address);
		fflush(stdout);
		return;
	}
	snprintf(temporary, sizeof(temporary), "%s.new", file);
	out = fopen(temporary, "w");
	if (out == NULL || fprintf(out, "%s\n", address) < 0 || fclose(out) != 0 ||
		rename(temporary, file) != 0)
	{
		perror(file);
		exit(1);
	}
}

static rd_kafka_t *
open_handle(void)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char error[256];
	rd_kafka_t *kafka;

	/* the handle itself never talks to anybody */
	rd_kafka_conf_set(conf, "log_level", "3", NULL, 0);
	kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	if (kafka == NULL)
	{
		fprintf(stderr, "%s\n", error);
		exit(1);
	}
	return kafka;
}

int
main(int argc, char **argv)
{
	static const struct option long_options[] = {{"address-file", required_argument, NULL, 'a'},
												 {"topic", required_argument, NULL, 't'},
												 {"help", no_argument, NULL, 'h'},
												 {NULL, 0, NULL, 0}};
	const char *address_file = NULL;
	char *topics[MAX_TOPICS];
	int topic_count = 0;
	int option;
	int signal_number;
	sigset_t signals;
	rd_kafka_t *kafka;
	rd_kafka_mock_cluster_t *cluster;

	while ((option = getopt_long(argc, argv, "a:t:h", long_options, NULL)) != -1)
	{
		if (option == 'a')
			address_file = optarg;
		else if (option == 't' && topic_count < MAX_TOPICS)
			topics[topic_count++] = optarg;
		else
			usage(option == 'h' ? 0 : 2);
	}
	if (optind < argc)
		usage(2);

	/* blocked before librdkafka makes its threads, so that they inherit it and sigwait gets them all */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);

	kafka = open_handle();
	cluster = rd_kafka_mock_cluster_new(kafka, 1);
	if (cluster == NULL)
	{
		fputs("could not start the broker\n", stderr);
		return 1;
	}
	for (int i = 0; i < topic_count; i++)
		create_topic(cluster, topics[i]);
	publish(address_file, rd_kafka_mock_cluster_bootstraps(cluster));

	sigwait(&signals, &signal_number);
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(kafka);
	return 0;
}
