#include "api/resource/event_post.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/control/json_text.h"
#include "api/resource/context.h"
#include "api/resource/event_input.h"
#include "common/eventloop.h"

/* What became of one event. */
typedef struct Outcome
{
	struct Post *post;
	MrDelivery *delivery; /* under way */
	MrPublishFailure failure;
	int32_t partition;
	int64_t offset;
	char text[128];
} Outcome;

/* A request that waits for its acknowledgements. */
typedef struct Post
{
	MrExchange *exchange;
	MrEventItems events;
	Outcome *outcomes;
	int waiting;
} Post;

static const char *header(void *owner, const char *name);
static void random_bytes(unsigned char bytes[16]);
static void publish(Post *post);
static void on_published(void *owner, MrPublishFailure failure, int32_t partition, int64_t offset,
						 const char *text);
static void answer(Post *post);
static void answer_one(Post *post);
static void answer_batch(Post *post);
static void put_rejected(MrBuffer *out, int line, const char *code, const char *detail);
static MrProblem problem_of(MrPublishFailure failure);
static void abandon(void *work);
static void free_post(Post *post);

void
mr_event_post(MrExchange *exchange)
{
	MrEventInput input = {.params = &exchange->params,
						  .content_type = mr_exchange_header(exchange, "Content-Type"),
						  .header = header,
						  .owner = exchange,
						  .random = random_bytes,
						  .now_ms = mr_wall_ms()};
	MrProblem problem;
	const char *hint = NULL;
	char detail[320];
	Post *post;

	if (mr_context_of(exchange)->outbox == NULL)
	{
		mr_exchange_refuse(exchange, MR_PROBLEM_KAFKA, "This service does not publish.",
						   "Start millrace-api with --brokers.");
		return;
	}
	post = mr_calloc(1, sizeof(*post));
	post->exchange = exchange;
	input.body = mr_exchange_body(exchange, &input.body_len);
	if (!mr_event_input_read(&post->events, &input, &problem, detail, sizeof(detail), &hint))
	{
		mr_exchange_refuse(exchange, problem, detail, hint);
		free_post(post);
		return;
	}
	exchange->work = post;
	exchange->abandon = abandon;
	publish(post);
}

static const char *
header(void *owner, const char *name)
{
	return mr_exchange_header(owner, name);
}

static void
random_bytes(unsigned char bytes[16])
{
	if (RAND_bytes(bytes, 16) != 1)
		abort(); /* ids would repeat */
}

static void
publish(Post *post)
{
	MrOutbox *outbox = mr_context_of(post->exchange)->outbox;
	int count = post->events.count;

	post->outcomes = mr_calloc((size_t) count, sizeof(*post->outcomes));
	post->waiting = 1; /* ourselves, until all are sent */
	for (int i = 0; i < count; i++)
	{
		const MrEventItem *item = &post->events.items[i];
		Outcome *outcome = &post->outcomes[i];

		outcome->post = post;
		if (item->error[0] != '\0')
			continue;
		outcome->delivery = mr_outbox_publish(outbox, item->message.key, item->message.payload.data,
											  item->message.payload.len, &post->exchange->trace,
											  on_published, outcome, &outcome->failure);
		post->waiting += outcome->delivery != NULL;
	}
	if (--post->waiting == 0)
		answer(post);
}

static void
on_published(void *owner, MrPublishFailure failure, int32_t partition, int64_t offset,
			 const char *text)
{
	Outcome *outcome = owner;

	outcome->delivery = NULL;
	outcome->failure = failure;
	outcome->partition = partition;
	outcome->offset = offset;
	snprintf(outcome->text, sizeof(outcome->text), "%s", text);
	if (--outcome->post->waiting == 0)
		answer(outcome->post);
}

static void
answer(Post *post)
{
	mr_exchange_forget_work(post->exchange);
	if (post->events.is_batch)
		answer_batch(post);
	else
		answer_one(post);
	free_post(post);
}

/* The public id of what was published is its coordinate. */
static void
answer_one(Post *post)
{
	const char *topic = mr_context_of(post->exchange)->topic;
	const MrEventItem *item = &post->events.items[0];
	const Outcome *outcome = &post->outcomes[0];
	MrBuffer body = {0};
	char location[340];

	if (item->error[0] != '\0' || outcome->failure != MR_PUBLISH_OK)
	{
		mr_exchange_refuse(post->exchange,
						   item->error[0] != '\0' ? MR_PROBLEM_BODY : problem_of(outcome->failure),
						   item->error[0] != '\0' ? item->error : NULL, NULL);
		return;
	}
	snprintf(location, sizeof(location), "/events/%s:%d:%lld", topic, outcome->partition,
			 (long long) outcome->offset);
	mr_exchange_set_header(post->exchange, "Location", location);
	mr_buffer_printf(&body,
					 "{\"id\":\"%s\",\"topic\":\"%s\",\"partition\":%d,\"offset\":\"%lld\"}\n",
					 location + strlen("/events/"), topic, outcome->partition,
					 (long long) outcome->offset);
	mr_exchange_answer(post->exchange, 202, "application/json", &body);
}

/* Nothing published because of Kafka is an answer of its own: the client sends all of it again. */
static void
answer_batch(Post *post)
{
	MrBuffer rejected = {0};
	MrBuffer body = {0};
	MrPublishFailure failure = MR_PUBLISH_OK;
	int accepted = 0;

	for (int i = 0; i < post->events.count; i++)
	{
		const MrEventItem *item = &post->events.items[i];
		const Outcome *outcome = &post->outcomes[i];

		if (item->error[0] != '\0')
			put_rejected(&rejected, item->line, mr_problem_code(MR_PROBLEM_BODY), item->error);
		else if (outcome->failure != MR_PUBLISH_OK)
		{
			failure = outcome->failure;
			put_rejected(&rejected, item->line, mr_problem_code(problem_of(failure)),
						 outcome->text);
		}
		else
			accepted++;
	}
	if (accepted == 0 && failure != MR_PUBLISH_OK)
		mr_exchange_refuse(post->exchange, problem_of(failure), NULL, NULL);
	else
	{
		mr_buffer_printf(&body, "{\"accepted\":%d,\"rejected\":[", accepted);
		mr_buffer_append(&body, rejected.data, rejected.len);
		mr_buffer_append(&body, "]}\n", 3);
		mr_exchange_answer(post->exchange, 202, "application/json", &body);
	}
	mr_buffer_free(&rejected);
}

static void
put_rejected(MrBuffer *out, int line, const char *code, const char *detail)
{
	mr_buffer_printf(out, "%s{\"line\":%d,\"code\":\"%s\",\"detail\":", out->len > 0 ? "," : "",
					 line, code);
	mr_json_string(out, detail, strlen(detail));
	mr_buffer_append(out, "}", 1);
}

static MrProblem
problem_of(MrPublishFailure failure)
{
	switch (failure)
	{
		case MR_PUBLISH_BUSY:
			return MR_PROBLEM_BUSY;
		case MR_PUBLISH_LARGE:
			return MR_PROBLEM_BODY_LARGE;
		case MR_PUBLISH_UNKNOWN:
			return MR_PROBLEM_UNKNOWN_OUTCOME;
		case MR_PUBLISH_OK:
		case MR_PUBLISH_DOWN:
		case MR_PUBLISH_FAILED:
			break;
	}
	return MR_PROBLEM_KAFKA;
}

/* What is sent is published, whether somebody waits for it or not. */
static void
abandon(void *work)
{
	Post *post = work;

	for (int i = 0; i < post->events.count; i++)
		if (post->outcomes[i].delivery != NULL)
			mr_delivery_forget(post->outcomes[i].delivery);
	free_post(post);
}

static void
free_post(Post *post)
{
	mr_event_items_free(&post->events);
	free(post->outcomes);
	free(post);
}
