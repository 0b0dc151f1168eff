/*
 * generate.c: millrace-generate, deterministic events to a Kafka topic, or the truth about them.
 *
 * The same arguments always make the same events. With --dump nothing is sent: the checker of the tests
 * reads what must have become of each of them.
 */
#include "event.h"
#include "producer.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum
{
	MAX_PROPERTIES = 32
};

typedef struct Options
{
	EventPlan plan;
	ProducerOptions producer;
	const char *dump; /* truth, ids, count or events */
	uint64_t first;
	uint64_t events;
	double rate; /* events/s, 0 = as fast as it goes */
	int partition;
	bool headers;
	bool no_key;
	bool quiet;
	const char *properties[MAX_PROPERTIES];
} Options;

static const char usage_text[] =
	"usage: millrace-generate [options]\n"
	"sends deterministic events to a Kafka topic, or prints the truth about them\n\n"
	"  -b, --brokers LIST     bootstrap servers\n"
	"  -t, --topic NAME       topic (default: events)\n"
	"  -n, --events N         how many (default: 10000)\n"
	"  -o, --first N          number of the first one (default: 0)\n"
	"  -s, --seed N           default: 1\n"
	"      --broken PCT       cut JSON, missing field, wrong type, a third each\n"
	"      --db-refused PCT   decodes, but its value violates the target's check\n"
	"      --filtered PCT     heartbeats\n"
	"      --unknown PCT      sources no lookup table has\n"
	"      --tombstones PCT   null payloads\n"
	"      --hot PCT          of one source, and so in one partition\n"
	"      --pad BYTES        up to so many bytes more, for mixed sizes\n"
	"  -r, --rate N           events per second (default: no limit)\n"
	"      --transaction N    a transaction for each N events\n"
	"      --abort-every K    each K-th transaction is rolled back\n"
	"      --transactional-id ID\n"
	"      --headers          two headers each, one of them without a value\n"
	"      --key-digits N     the first N hex digits of the id are the key (default: the source)\n"
	"      --no-key           messages without a key\n"
	"  -p, --partition P      all into one partition (default: by key)\n"
	"      --linger-ms MS     default: 50 at full speed, 1 with --rate\n"
	"  -X name=value          a property of librdkafka\n"
	"      --dump WHAT        send nothing; print truth (id and fate), ids (of rows), count or "
	"events\n"
	"  -q, --quiet\n";

static void
usage(int status)
{
	fputs(usage_text, status == 0 ? stdout : stderr);
	exit(status);
}

static double
number(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || value < 0)
	{
		fprintf(stderr, "not a number: \"%s\"\n", text);
		exit(2);
	}
	return value;
}

enum
{
	OPT_BROKEN = 256,
	OPT_REFUSED,
	OPT_FILTERED,
	OPT_UNKNOWN,
	OPT_TOMBSTONES,
	OPT_HOT,
	OPT_PAD,
	OPT_KEY_DIGITS,
	OPT_TRANSACTION,
	OPT_ABORT,
	OPT_TRANSACTIONAL_ID,
	OPT_HEADERS,
	OPT_NO_KEY,
	OPT_LINGER,
	OPT_DUMP
};

static const struct option long_options[] = {
	{"brokers", required_argument, NULL, 'b'},
	{"topic", required_argument, NULL, 't'},
	{"events", required_argument, NULL, 'n'},
	{"first", required_argument, NULL, 'o'},
	{"seed", required_argument, NULL, 's'},
	{"rate", required_argument, NULL, 'r'},
	{"partition", required_argument, NULL, 'p'},
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{"broken", required_argument, NULL, OPT_BROKEN},
	{"db-refused", required_argument, NULL, OPT_REFUSED},
	{"filtered", required_argument, NULL, OPT_FILTERED},
	{"unknown", required_argument, NULL, OPT_UNKNOWN},
	{"tombstones", required_argument, NULL, OPT_TOMBSTONES},
	{"hot", required_argument, NULL, OPT_HOT},
	{"pad", required_argument, NULL, OPT_PAD},
	{"key-digits", required_argument, NULL, OPT_KEY_DIGITS},
	{"transaction", required_argument, NULL, OPT_TRANSACTION},
	{"abort-every", required_argument, NULL, OPT_ABORT},
	{"transactional-id", required_argument, NULL, OPT_TRANSACTIONAL_ID},
	{"headers", no_argument, NULL, OPT_HEADERS},
	{"no-key", no_argument, NULL, OPT_NO_KEY},
	{"linger-ms", required_argument, NULL, OPT_LINGER},
	{"dump", required_argument, NULL, OPT_DUMP},
	{NULL, 0, NULL, 0},
};

/* Options that describe the events. */
static bool
plan_option(EventPlan *plan, int option, const char *value)
{
	switch (option)
	{
		case 's':
			plan->seed = strtoull(value, NULL, 0);
			return true;
		case OPT_BROKEN:
			plan->broken_percent = number(value);
			return true;
		case OPT_REFUSED:
			plan->refused_percent = number(value);
			return true;
		case OPT_FILTERED:
			plan->filtered_percent = number(value);
			return true;
		case OPT_UNKNOWN:
			plan->unknown_percent = number(value);
			return true;
		case OPT_TOMBSTONES:
			plan->tombstone_percent = number(value);
			return true;
		case OPT_HOT:
			plan->hot_percent = number(value);
			return true;
		case OPT_PAD:
			plan->pad_bytes = (int) number(value);
			return true;
		case OPT_KEY_DIGITS:
			plan->key_digits = (int) number(value);
			return true;
		case OPT_TRANSACTION:
			plan->transaction = (long) number(value);
			return true;
		case OPT_ABORT:
			plan->abort_every = (long) number(value);
			return true;
		default:
			return false;
	}
}

/* Options that say how they are sent. */
static void
send_option(Options *options, int option, const char *value)
{
	switch (option)
	{
		case 'b':
			options->producer.brokers = value;
			break;
		case 't':
			options->producer.topic = value;
			break;
		case 'n':
			options->events = (uint64_t) number(value);
			break;
		case 'o':
			options->first = (uint64_t) number(value);
			break;
		case 'r':
			options->rate = number(value);
			break;
		case 'p':
			options->partition = (int) number(value);
			break;
		case 'X':
			if (options->producer.property_count == MAX_PROPERTIES)
				usage(2);
			options->properties[options->producer.property_count++] = value;
			break;
		case OPT_TRANSACTIONAL_ID:
			options->producer.transactional_id = value;
			break;
		case OPT_HEADERS:
			options->headers = true;
			break;
		case OPT_NO_KEY:
			options->no_key = true;
			break;
		case OPT_LINGER:
			options->producer.linger_ms = (int) number(value);
			break;
		case OPT_DUMP:
			options->dump = value;
			break;
		case 'q':
			options->quiet = true;
			break;
		case 'h':
			usage(0);
			break;
		default:
			usage(2);
	}
}

static void
parse(int argc, char **argv, Options *options)
{
	int option;

	*options = (Options){.plan = {.seed = 1},
						 .producer = {.topic = "events", .linger_ms = -1},
						 .events = 10000,
						 .partition = -1};
	options->producer.properties = options->properties;
	while ((option = getopt_long(argc, argv, "b:t:n:o:s:r:p:X:qh", long_options, NULL)) != -1)
		if (!plan_option(&options->plan, option, optarg))
			send_option(options, option, optarg);
	if (optind < argc || (options->producer.brokers == NULL && options->dump == NULL))
		usage(2);
	if (options->producer.linger_ms < 0)
		options->producer.linger_ms = options->rate > 0 ? 1 : 50;
	if (options->plan.transaction > 0 && options->producer.transactional_id == NULL)
		options->producer.transactional_id = "millrace-generate";
	if (options->plan.transaction > 0 && options->first % options->plan.transaction != 0)
	{
		fputs("--first must be a multiple of --transaction\n", stderr);
		exit(2);
	}
}

static void
dump(const Options *options)
{
	uint64_t counts[FATE_ABORTED + 1] = {0};
	char *buffer = malloc(EVENT_BUFFER_BYTES(&options->plan));
	Event event;

	if (buffer == NULL)
		exit(1);
	for (uint64_t i = options->first; i < options->first + options->events; i++)
	{
		EventFate fate = event_fate(&options->plan, i);

		counts[fate]++;
		if (strcmp(options->dump, "events") == 0)
		{
			event_make(&options->plan, i, buffer, &event);
			printf("%s\t%.*s\n", event.key, (int) event.length, event.payload ? event.payload : "");
		}
		else if (strcmp(options->dump, "truth") == 0 ||
				 (strcmp(options->dump, "ids") == 0 && fate == FATE_ROW))
		{
			event_id(&options->plan, i, event.id);
			if (strcmp(options->dump, "ids") == 0)
				puts(event.id);
			else
				printf("%s %s\n", event.id, event_fate_name(fate));
		}
		else if (strcmp(options->dump, "count") != 0 && strcmp(options->dump, "ids") != 0)
			usage(2);
	}
	if (strcmp(options->dump, "count") == 0)
		for (int fate = 0; fate <= FATE_ABORTED; fate++)
			printf("%s %llu\n", event_fate_name(fate), (unsigned long long) counts[fate]);
	free(buffer);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

/* Waits until the n-th event (from 0) is due. */
static void
pace(const Options *options, Producer *producer, double start, uint64_t n)
{
	double wait;

	if (options->rate <= 0)
	{
		if (n % 1024 == 0)
			producer_poll(producer);
		return;
	}
	producer_poll(producer);
	while ((wait = start + (double) n / options->rate - now()) > 0)
	{
		struct timespec t = {(time_t) wait, (long) ((wait - (double) (time_t) wait) * 1e9)};

		nanosleep(&t, NULL);
	}
}

static void
send_all(const Options *options, Producer *producer, double start)
{
	const EventPlan *plan = &options->plan;
	char *buffer = malloc(EVENT_BUFFER_BYTES(plan));
	uint64_t last = options->first + options->events;
	Event event;

	if (buffer == NULL)
		exit(1);
	for (uint64_t i = options->first; i < last; i++)
	{
		ProducerHeader headers[] = {{"origin", event.id}, {"empty", NULL}};

		if (plan->transaction > 0 && i % plan->transaction == 0)
			producer_begin(producer);
		pace(options, producer, start, i - options->first);
		event_make(plan, i, buffer, &event);
		producer_send(producer, options->partition, options->no_key ? NULL : event.key,
					  event.payload, event.length, headers, options->headers ? 2 : 0);
		if (plan->transaction > 0 && ((i + 1) % plan->transaction == 0 || i + 1 == last))
			producer_end(producer, !event_aborted(plan, i));
	}
	free(buffer);
}

int
main(int argc, char **argv)
{
	Options options;
	Producer *producer;
	double start;
	double seconds;
	long delivered;
	long failed;

	parse(argc, argv, &options);
	if (options.dump != NULL)
	{
		dump(&options);
		return 0;
	}
	producer = producer_open(&options.producer);
	start = now();
	send_all(&options, producer, start);
	failed = producer_close(producer, &delivered);
	seconds = now() - start;
	if (!options.quiet)
		printf("sent %ld, failed %ld, in %.2f s: %.0f events/s\n", delivered, failed, seconds,
			   (double) delivered / seconds);
	return failed > 0 ? 1 : 0;
}
