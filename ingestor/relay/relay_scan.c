/*
 * Reading the DLQ topic: what is in it already? read_committed, with librdkafka's plain consumer (no
 * group), each scan with a queue of its own, so that nothing fetched before turns up later.
 */
#include "ingestor/relay/relay_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/eventloop.h"
#include "ingestor/relay/relay_kafka_private.h"

#define ASK_MS       5000
#define STALLED_MS   20000 /* without any progress */
#define REPORT_MS    2000
#define REPORT_COUNT 1000
#define ID_BYTES     1024

typedef struct TopicScan
{
	MrRelayKafka *kafka;
	rd_kafka_queue_t *queue;
	int64_t *positions;
	int64_t *ends;
	bool *started;
	int left;  /* partitions that are not read to their end */
	bool news; /* not reported yet */
	int64_t reported_ms;
	int64_t progress_ms;
	MrSighting *sightings;
	int count;
	MrScanned scanned;
	void *owner;
	char *error;
} TopicScan;

static bool scan(MrRelayKafka *kafka, int64_t *positions, int64_t *ends, MrScanned scanned,
				 void *owner, char *error);
static bool find_ends(MrRelayKafka *kafka, int64_t *positions, int64_t *ends, char *error);
static bool start(TopicScan *s);
static bool step(TopicScan *s);
static bool take(TopicScan *s, const rd_kafka_message_t *message);
static void move(TopicScan *s, int32_t partition, int64_t position);
static bool report(TopicScan *s);

bool
mr_relay_scan(MrRelayKafka *kafka, int64_t *positions, MrScanned scanned, void *owner, char *error)
{
	int64_t *ends = mr_calloc((size_t) kafka->partitions, sizeof(int64_t));
	bool ok = find_ends(kafka, positions, ends, error) &&
			  scan(kafka, positions, ends, scanned, owner, error);

	free(ends);
	return ok;
}

bool
mr_relay_scan_published(MrRelayKafka *kafka, int64_t *positions, MrScanned scanned, void *owner,
						char *error)
{
	return scan(kafka, positions, kafka->published, scanned, owner, error);
}

/*
 * The end is the high watermark, which the producer's handle asks for with read_uncommitted. The last
 * stable offset would not do: behind an open transaction of a stranger there may be committed letters.
 */
static bool
find_ends(MrRelayKafka *kafka, int64_t *positions, int64_t *ends, char *error)
{
	for (int i = 0; i < kafka->partitions; i++)
	{
		int64_t low;
		rd_kafka_resp_err_t err =
			rd_kafka_query_watermark_offsets(kafka->producer, kafka->target.topic, i, &low,
											 &ends[i], ASK_MS);

		if (err)
		{
			snprintf(error, MR_RELAY_ERROR, "could not find the end of topic \"%s\": %s",
					 kafka->target.topic, rd_kafka_err2str(err));
			return false;
		}
		/* Retention was faster, or the topic is another one by now. */
		if (positions[i] < low || positions[i] > ends[i])
			positions[i] = low;
	}
	return true;
}

static bool
scan(MrRelayKafka *kafka, int64_t *positions, int64_t *ends, MrScanned scanned, void *owner,
	 char *error)
{
	TopicScan s = {.kafka = kafka,
				   .positions = positions,
				   .ends = ends,
				   .news = true,
				   .reported_ms = mr_now_ms(),
				   .progress_ms = mr_now_ms(),
				   .scanned = scanned,
				   .owner = owner,
				   .error = error};
	bool ok;

	s.started = mr_calloc((size_t) kafka->partitions, sizeof(bool));
	s.queue = rd_kafka_queue_new(kafka->reader);
	ok = start(&s);
	while (ok && s.left > 0)
		ok = step(&s);
	for (int i = 0; i < kafka->partitions; i++)
		if (s.started[i])
			rd_kafka_consume_stop(kafka->topic, i);
	rd_kafka_queue_destroy(s.queue);
	/* What was seen before a failure was seen. */
	ok = report(&s) && ok;
	free(s.sightings);
	free(s.started);
	return ok;
}

static bool
start(TopicScan *s)
{
	for (int i = 0; i < s->kafka->partitions; i++)
	{
		if (s->positions[i] >= s->ends[i])
			continue;
		s->left++;
		if (rd_kafka_consume_start_queue(s->kafka->topic, i, s->positions[i], s->queue) != 0)
		{
			snprintf(s->error, MR_RELAY_ERROR, "could not read topic \"%s\": %s",
					 s->kafka->target.topic, rd_kafka_err2str(rd_kafka_last_error()));
			return false;
		}
		s->started[i] = true;
	}
	return true;
}

static bool
step(TopicScan *s)
{
	rd_kafka_message_t *message = rd_kafka_consume_queue(s->queue, 100);
	int64_t now = mr_now_ms();
	bool ok = true;

	rd_kafka_poll(s->kafka->reader, 0);
	if (message != NULL)
	{
		ok = take(s, message);
		rd_kafka_message_destroy(message);
	}
	if (ok && (s->count >= REPORT_COUNT || (s->news && now - s->reported_ms > REPORT_MS)))
		ok = report(s);
	if (ok && atomic_load(s->kafka->target.stop))
	{
		snprintf(s->error, MR_RELAY_ERROR, "stopped");
		ok = false;
	}
	if (ok && now - s->progress_ms > STALLED_MS)
	{
		snprintf(s->error, MR_RELAY_ERROR,
				 "could not read topic \"%s\" to its end: nothing came for %d s%s%s",
				 s->kafka->target.topic, STALLED_MS / 1000,
				 *s->kafka->last_error ? ": "
									   : "; a producer may have left a transaction open in it",
				 s->kafka->last_error);
		ok = false;
	}
	return ok;
}

static bool
take(TopicScan *s, const rd_kafka_message_t *message)
{
	rd_kafka_headers_t *headers;
	char buffer[ID_BYTES];
	const char *id;

	if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
	{
		move(s, message->partition, message->offset);
		return true;
	}
	if (message->err)
	{
		/* The client goes on by itself after most; what it cannot repair shows as no progress. */
		snprintf(s->error, MR_RELAY_ERROR, "could not read topic \"%s\": %s",
				 s->kafka->target.topic, rd_kafka_message_errstr(message));
		snprintf(s->kafka->last_error, sizeof(s->kafka->last_error), "%s",
				 rd_kafka_message_errstr(message));
		return message->err == RD_KAFKA_RESP_ERR__TRANSPORT ||
			   message->err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
	}
	if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
		(id = mr_letter_id(headers, buffer, sizeof(buffer))) != NULL)
	{
		if (s->count % REPORT_COUNT == 0)
			s->sightings =
				mr_realloc(s->sightings, sizeof(MrSighting) * (size_t) (s->count + REPORT_COUNT));
		s->sightings[s->count++] = (MrSighting){mr_strdup(id), message->partition, message->offset};
	}
	move(s, message->partition, message->offset + 1);
	return true;
}

static void
move(TopicScan *s, int32_t partition, int64_t position)
{
	int64_t *mine = &s->positions[partition];

	if (position <= *mine)
		return;
	if (*mine < s->ends[partition] && position >= s->ends[partition])
		s->left--;
	*mine = position;
	s->news = true;
	s->progress_ms = mr_now_ms();
}

static bool
report(TopicScan *s)
{
	bool ok = !s->news || s->scanned(s->owner, s->positions, s->kafka->partitions, s->sightings,
									 s->count, s->error);

	for (int i = 0; i < s->count; i++)
		free(s->sightings[i].id);
	s->count = 0;
	s->news = false;
	s->reported_ms = mr_now_ms();
	return ok;
}
