#include "api/resource/event_status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/publish/ends.h"
#include "api/request/coordinate.h"
#include "api/resource/context.h"
#include "api/resource/document.h"

/* What is known of an event that Kafka may not have, until it says where the partition ends. */
typedef struct Look
{
	MrExchange *exchange;
	MrDelivery *delivery;
	int64_t offset;
	MrBuffer known;
} Look;

static bool ask_kafka(MrExchange *exchange, const PGresult *result);
static void on_end(void *owner, MrPublishFailure failure, int32_t partition, int64_t end,
				   const char *text);
static void abandon(void *work);

/*
 * No pipeline of the role's reads the topic: nothing is known of the event. The second column: what is known is that no
 * pipeline has come there, and that the topic ended before it when the ingestors looked last.
 */
static const MrDocument event_status = {
	"event_status",
	"WITH known AS MATERIALIZED (SELECT millrace.event_trace($1, $2::integer, $3::bigint) AS "
	"trace) "
	"SELECT nullif(k.trace, '[]')::text, CASE WHEN NOT EXISTS (SELECT FROM "
	"jsonb_array_elements(k.trace) AS e (v) WHERE e.v ->> 'status' NOT IN ('pending', 'unknown')) "
	"THEN NOT EXISTS (SELECT FROM millrace.lag AS g WHERE g.topic = $1 AND g.partition = "
	"$2::integer AND g.end_offset > $3::bigint) END FROM known AS k",
	.operates = true,
	.absent = MR_PROBLEM_NO_EVENT,
	.settle = ask_kafka,
	.absent_hint = "No pipeline that the service may operate reads the topic: GET /pipelines lists "
				   "what is read."};

void
mr_event_status_get(MrExchange *exchange)
{
	MrCoordinate coordinate;
	const char *values[3];

	if (!mr_document_has_no_params(exchange))
		return;
	if (!mr_coordinate_read(&coordinate, exchange->match.captures[0]))
	{
		mr_exchange_refuse(exchange, MR_PROBLEM_VALUE, "The id is not a Kafka coordinate.",
						   "Use topic:partition:offset, such as events:0:17.");
		return;
	}
	values[0] = coordinate.topic;
	values[1] = coordinate.partition;
	values[2] = coordinate.offset;
	mr_document_ask(exchange, &event_status, 3, values);
}

/* Without brokers what the ingestors have seen is all there is to know. */
static bool
ask_kafka(MrExchange *exchange, const PGresult *result)
{
	MrOutbox *outbox = mr_context_of(exchange)->outbox;
	MrCoordinate coordinate;
	Look *look;

	if (outbox == NULL || PQgetisnull(result, 0, 1) || *PQgetvalue(result, 0, 1) != 't' ||
		!mr_coordinate_read(&coordinate, exchange->match.captures[0]))
		return false;
	look = mr_calloc(1, sizeof(*look));
	look->exchange = exchange;
	look->offset = strtoll(coordinate.offset, NULL, 10);
	mr_buffer_append(&look->known, PQgetvalue(result, 0, 0), (size_t) PQgetlength(result, 0, 0));
	mr_buffer_append(&look->known, "\n", 1);
	look->delivery =
		mr_ends_ask(mr_producer_ends(mr_outbox_producer(outbox)), outbox, coordinate.topic,
					(int32_t) strtol(coordinate.partition, NULL, 10), on_end, look);
	if (look->delivery == NULL)
	{
		mr_exchange_refuse(exchange, MR_PROBLEM_BUSY, NULL, NULL);
		mr_buffer_free(&look->known);
		free(look);
		return true;
	}
	exchange->work = look;
	exchange->abandon = abandon;
	return true;
}

static void
on_end(void *owner, MrPublishFailure failure, int32_t partition, int64_t end, const char *text)
{
	Look *look = owner;
	MrExchange *exchange = look->exchange;
	char detail[80];

	(void) partition;
	(void) text;
	mr_exchange_forget_work(exchange);
	if (failure != MR_PUBLISH_OK)
		mr_exchange_refuse(exchange, MR_PROBLEM_KAFKA_END, NULL, NULL);
	else if (look->offset >= end)
	{
		if (end == 0)
			snprintf(detail, sizeof(detail), "The partition has had no event, or is not there.");
		else
			snprintf(detail, sizeof(detail), "The partition ends at offset %" PRId64 ".", end);
		mr_exchange_refuse(exchange, MR_PROBLEM_NO_EVENT, detail,
						   "Ask for an event that has been published.");
	}
	else
	{
		mr_exchange_set_header(exchange, "Cache-Control", "private, no-cache");
		mr_exchange_answer(exchange, 200, "application/json", &look->known);
	}
	mr_buffer_free(&look->known);
	free(look);
}

static void
abandon(void *work)
{
	Look *look = work;

	mr_delivery_forget(look->delivery);
	mr_buffer_free(&look->known);
	free(look);
}
