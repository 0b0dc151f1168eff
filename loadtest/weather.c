/*
 * weather.c: millrace-weather, a year of New York's weather to a Kafka topic.
 *
 * The development broker keeps about 5 MB of a partition: the producer chooses each event's partition
 * itself, so it knows how many of each are out, and waits while the pipeline is WINDOW events behind.
 */
#include "observation.h"
#include "pace.h"
#include "producer.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum
{
	WINDOW = 24000, /* events of a partition; 170 bytes each with what Kafka adds */
	WAIT_US = 2000
};

static const char usage_text[] =
	"usage: millrace-weather --brokers LIST --topic NAME --partitions N [options] FILE\n"
	"sends the weather of FILE (data/weather.csv.gz) as events\n\n"
	"  -b, --brokers LIST    bootstrap servers\n"
	"  -t, --topic NAME\n"
	"  -p, --partitions N    how many the topic has\n"
	"  -d, --dsn CONNINFO    database of the pipelines: do not outrun them\n"
	"  -P, --pipelines LIST  with commas; default: weather\n"
	"  -c, --count           send nothing; print how many there are: events, null, damaged\n";

typedef struct Options
{
	ProducerOptions producer;
	int partitions;
	const char *dsn;
	const char *pipelines;
	const char *file;
	bool count;
} Options;

static void
usage(int status)
{
	fputs(usage_text, status == 0 ? stdout : stderr);
	exit(status);
}

static void
parse(int argc, char **argv, Options *options)
{
	static const struct option long_options[] = {
		{"brokers", required_argument, NULL, 'b'},
		{"topic", required_argument, NULL, 't'},
		{"partitions", required_argument, NULL, 'p'},
		{"dsn", required_argument, NULL, 'd'},
		{"pipelines", required_argument, NULL, 'P'},
		{"count", no_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	*options = (Options){.producer = {.linger_ms = 5}, .pipelines = "weather"};
	while ((option = getopt_long(argc, argv, "b:t:p:d:P:ch", long_options, NULL)) != -1)
	{
		switch (option)
		{
			case 'b':
				options->producer.brokers = optarg;
				break;
			case 't':
				options->producer.topic = optarg;
				break;
			case 'p':
				options->partitions = atoi(optarg);
				break;
			case 'd':
				options->dsn = optarg;
				break;
			case 'P':
				options->pipelines = optarg;
				break;
			case 'c':
				options->count = true;
				break;
			default:
				usage(option == 'h' ? 0 : 2);
		}
	}
	if (optind != argc - 1)
		usage(2);
	options->file = argv[optind];
	if (!options->count && (options->producer.brokers == NULL || options->producer.topic == NULL ||
							options->partitions < 1 || options->partitions > PACE_PARTITIONS))
		usage(2);
}

static void
count(ObservationReader *reader)
{
	Observation observation;
	unsigned long events = 0;
	unsigned long missing = 0;
	unsigned long damaged = 0;

	for (; observation_next(reader, &observation); events++)
	{
		missing += observation.missing;
		damaged += observation.damage != DAMAGE_NONE;
	}
	printf("%lu %lu %lu\n", events, missing, damaged);
}

/* Which partition a key belongs to. The producer's own partitioner would not say. */
static int
partition_of(const char *key, int partitions)
{
	return rd_kafka_msg_partitioner_murmur2(NULL, key, strlen(key), partitions, NULL, NULL);
}

static void
wait_for_pipeline(Pace *pace, Producer *producer, const int64_t start[PACE_PARTITIONS],
				  const int64_t sent[PACE_PARTITIONS], int64_t done[PACE_PARTITIONS], int partition)
{
	while (start[partition] + sent[partition] - done[partition] > WINDOW)
	{
		producer_poll(producer);
		pace_positions(pace, done);
		if (start[partition] + sent[partition] - done[partition] > WINDOW)
			usleep(WAIT_US);
	}
}

static void
send_all(const Options *options, ObservationReader *reader, Producer *producer, Pace *pace)
{
	int64_t start[PACE_PARTITIONS] = {0};
	int64_t sent[PACE_PARTITIONS] = {0};
	int64_t done[PACE_PARTITIONS] = {0};
	Observation observation;

	if (pace != NULL)
	{
		pace_positions(pace, start); /* the topic's end, if the pipeline has caught up */
		memcpy(done, start, sizeof(done));
	}
	for (unsigned long i = 0; observation_next(reader, &observation); i++)
	{
		int partition = partition_of(observation.key, options->partitions);

		if (pace != NULL)
			wait_for_pipeline(pace, producer, start, sent, done, partition);
		producer_send(producer, partition, observation.key, observation.json, observation.length,
					  NULL, 0);
		sent[partition]++;
		if (i % 256 == 0)
			producer_poll(producer);
	}
}

int
main(int argc, char **argv)
{
	Options options;
	ObservationReader *reader;
	Producer *producer;
	Pace *pace = NULL;
	long delivered;
	long failed;

	parse(argc, argv, &options);
	reader = observation_open(options.file);
	if (reader == NULL)
		return 1;
	if (options.count)
		count(reader);
	else
	{
		producer = producer_open(&options.producer);
		if (options.dsn != NULL)
			pace = pace_open(options.dsn, options.pipelines);
		send_all(&options, reader, producer, pace);
		if (pace != NULL)
			pace_close(pace);
		failed = producer_close(producer, &delivered);
		printf("sent %ld\n", delivered);
		if (failed > 0)
			return 1;
	}
	observation_close(reader);
	return 0;
}
