/*
 * A request without a key is published and answered. One with a key claims it first, and records its answer before it gives
 * it; from the claim on it goes on without its client.
 */
#include "api/resource/event_post.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/request/prefer.h"
#include "api/resource/claim.h"
#include "api/resource/context.h"
#include "api/resource/event_input.h"
#include "api/resource/event_wait.h"
#include "api/resource/post_answer.h"
#include "api/resource/post_form.h"
#include "api/resource/post_key.h"
#include "api/resource/post_wait.h"
#include "api/resource/query_problem.h"
#include "common/eventloop.h"

#define ID_BYTES     16
#define RANDOM_BYTES 512 /* that are drawn at once: for 16 it takes nearly as long */

/* One event under way. */
typedef struct Sent
{
	struct Post *post;
	MrDelivery *delivery;
	MrPostOutcome *outcome;
	MrEventWait *wait; /* NULL: its end is not waited for, or not any more */
} Sent;

typedef struct Post
{
	MrExchange *exchange; /* NULL: the client has left */
	const MrContext *context;
	MrTrace trace;     /* of the request */
	char *trace_state; /* its tracestate, which outlives the client; NULL: none */
	MrEventItems events;
	MrPostOutcome *outcomes;
	Sent *sent;
	int waiting; /* events that are not acknowledged */
	bool lists;  /* the client wants the id of each event of a batch */
	bool has_key;
	MrClaimKey key;
	MrClaim *claim; /* NULL: none, or it has ended */
	MrPostAnswer answer;
	bool is_replayed;                   /* the answer is that of an earlier request */
	int64_t wait_ms;                    /* 0: it does not wait for its events to be processed */
	int pending;                        /* events that it waits for */
	size_t held;                        /* bytes that go on without their client */
	unsigned char random[RANDOM_BYTES]; /* for the ids that are made */
	size_t random_left;
} Post;

static bool read_wait(Post *post);
static bool read_events(Post *post);
static const char *header(void *owner, const char *name);
static void make_id(void *owner, int line, char uuid[MR_UUID_SIZE]);
static void claim(Post *post);
static void on_asked(void *owner, const MrClaimAnswer *answer);
static void take_recorded(MrPostAnswer *answer, const MrClaimAnswer *recorded);
static void refuse_claim(MrExchange *exchange, const MrClaimAnswer *answer);
static void publish(Post *post);
static void on_published(void *owner, MrPublishFailure failure, int32_t partition, int64_t offset,
						 const char *text);
static void on_all_published(Post *post);
static void give_answer(void *owner);
static void wait_for_end(Post *post);
static void forget_waits(Post *post);
static void on_processed(void *owner, const char *pipelines);
static void send_answer(Post *post, int status);
static void abandon(void *work);
static void free_post(void *owner);

void
mr_event_post(MrExchange *exchange)
{
	Post *post;

	if (mr_context_of(exchange)->outbox == NULL)
	{
		mr_exchange_refuse(exchange, MR_PROBLEM_KAFKA, "This service does not publish.",
						   "Start millrace-api with --brokers.");
		return;
	}
	post = mr_calloc(1, sizeof(*post));
	post->exchange = exchange;
	post->context = mr_context_of(exchange);
	post->trace = exchange->trace;
	post->lists = mr_prefers(mr_exchange_header(exchange, "Prefer"), "return", "representation");
	if (exchange->trace.state != NULL)
		post->trace.state = post->trace_state = mr_strdup(exchange->trace.state);
	if (!mr_post_form_read(exchange) || !mr_post_key_read(exchange, &post->key, &post->has_key) ||
		!read_wait(post) || !read_events(post))
	{
		free_post(post);
		return;
	}
	exchange->work = post;
	exchange->abandon = abandon;
	/* one event that is not valid needs no claim: its answer is always the same */
	if (post->has_key && (post->events.is_batch || post->events.items[0].error[0] == '\0'))
		claim(post);
	else
		publish(post);
}

/* False, as below: the request is refused, and answered. */
static bool
read_wait(Post *post)
{
	char detail[128];

	if (mr_post_wait_read(&post->exchange->params, &post->wait_ms, detail, sizeof(detail)))
		return true;
	mr_exchange_refuse(post->exchange, MR_PROBLEM_VALUE, detail,
					   "Use wait=processed, and timeout to say for how long.");
	return false;
}

static bool
read_events(Post *post)
{
	MrExchange *exchange = post->exchange;
	MrEventInput input = {.params = &exchange->params,
						  .content_type = mr_exchange_header(exchange, "Content-Type"),
						  .header = header,
						  .make_id = make_id,
						  .owner = post,
						  .now_ms = mr_wall_ms()};
	MrProblem problem;
	const char *hint = NULL;
	char detail[320];

	input.body = mr_exchange_body(exchange, &input.body_len);
	if (!mr_event_input_read(&post->events, &input, &problem, detail, sizeof(detail), &hint))
		mr_exchange_refuse(exchange, problem, detail, hint);
	else
	{
		post->outcomes = mr_calloc((size_t) post->events.count, sizeof(*post->outcomes));
		post->sent = mr_calloc((size_t) post->events.count, sizeof(*post->sent));
		for (int i = 0; i < post->events.count; i++)
			post->sent[i] = (Sent){.post = post, .outcome = &post->outcomes[i]};
		return true;
	}
	return false;
}

static const char *
header(void *owner, const char *name)
{
	const Post *post = owner;

	return mr_exchange_header(post->exchange, name);
}

static void
make_id(void *owner, int line, char uuid[MR_UUID_SIZE])
{
	Post *post = owner;
	size_t drawn = post->events.is_batch ? RANDOM_BYTES : ID_BYTES;

	if (post->has_key)
	{
		mr_idempotency_uuid(uuid, &post->key.key, post->key.client, line);
		return;
	}
	if (post->random_left == 0)
	{
		if (RAND_bytes(post->random, (int) drawn) != 1)
			abort(); /* ids would repeat */
		post->random_left = drawn;
	}
	post->random_left -= ID_BYTES;
	mr_uuid_format(uuid, post->random + post->random_left, 4);
}

static void
claim(Post *post)
{
	static const MrClaimEvents events = {on_asked, give_answer, free_post};
	MrClaimAnswer refused = {.outcome = MR_CLAIM_FAILED};

	post->claim = mr_claim_ask(post->context->claims, &post->key, &events, post, &refused.failure);
	if (post->claim == NULL)
		on_asked(post, &refused);
}

static void
on_asked(void *owner, const MrClaimAnswer *answer)
{
	Post *post = owner;

	if (answer->outcome == MR_CLAIM_MINE)
	{
		publish(post);
		return;
	}
	post->claim = NULL;
	if (post->exchange != NULL && answer->outcome == MR_CLAIM_ANSWERED)
	{
		take_recorded(&post->answer, answer);
		post->is_replayed = true;
		give_answer(post);
		return;
	}
	if (post->exchange != NULL)
	{
		mr_exchange_forget_work(post->exchange);
		refuse_claim(post->exchange, answer);
	}
	free_post(post);
}

static void
take_recorded(MrPostAnswer *answer, const MrClaimAnswer *recorded)
{
	snprintf(answer->location, sizeof(answer->location), "%s",
			 recorded->location != NULL ? recorded->location : "");
	mr_buffer_append(&answer->body, recorded->body, strlen(recorded->body));
}

/* Nothing is published: whatever is wrong with PostgreSQL, the request may be sent again. */
static void
refuse_claim(MrExchange *exchange, const MrClaimAnswer *answer)
{
	bool is_denied = answer->error != NULL && strncmp(answer->error->sqlstate, "42", 2) == 0;

	if (answer->outcome == MR_CLAIM_IN_FLIGHT)
	{
		mr_exchange_set_header(exchange, "Retry-After", "1");
		mr_exchange_refuse(exchange, MR_PROBLEM_IN_FLIGHT, NULL, NULL);
	}
	else if (answer->outcome == MR_CLAIM_OTHER_BODY)
		mr_exchange_refuse(exchange, MR_PROBLEM_OTHER_BODY, NULL, NULL);
	else if (answer->failure == MR_QUERY_BUSY)
		mr_exchange_refuse(exchange, MR_PROBLEM_BUSY, NULL, NULL);
	else
	{
		if (answer->error != NULL)
			mr_query_log(exchange->path, answer->error);
		mr_exchange_refuse(exchange, MR_PROBLEM_DATABASE,
						   "The Idempotency-Key cannot be kept, so nothing is published.",
						   is_denied ? "SELECT millrace.grant_api() for the role of --dsn." : NULL);
	}
}

static void
publish(Post *post)
{
	MrOutbox *outbox = post->context->outbox;

	post->waiting = 1; /* ourselves, until all are sent */
	for (int i = 0; i < post->events.count; i++)
	{
		const MrEventItem *item = &post->events.items[i];
		Sent *sent = &post->sent[i];

		if (item->error[0] != '\0')
			continue;
		sent->delivery = mr_outbox_publish(outbox, item->message.key, item->message.payload.data,
										   item->message.payload.len, &post->trace, on_published,
										   sent, &sent->outcome->failure);
		post->waiting += sent->delivery != NULL;
	}
	if (--post->waiting == 0)
		on_all_published(post);
}

static void
on_published(void *owner, MrPublishFailure failure, int32_t partition, int64_t offset,
			 const char *text)
{
	Sent *sent = owner;

	sent->delivery = NULL;
	sent->outcome->failure = failure;
	sent->outcome->partition = partition;
	sent->outcome->offset = offset;
	snprintf(sent->outcome->text, sizeof(sent->outcome->text), "%s", text);
	if (--sent->post->waiting == 0)
		on_all_published(sent->post);
}

/* An answer that Kafka could improve is not kept: the request may be sent again, with the same key and ids. */
static void
on_all_published(Post *post)
{
	MrPostAnswer *answer = &post->answer;

	mr_post_answer(answer, &post->events, post->outcomes, post->context->topic, post->lists);
	if (post->claim == NULL)
		give_answer(post);
	else if (answer->is_final)
		mr_claim_end(post->claim, 202, answer->location[0] != '\0' ? answer->location : NULL,
					 mr_buffer_string(&answer->body));
	else
		mr_claim_end(post->claim, 0, NULL, NULL);
}

/* Now, or when the events are processed. */
static void
give_answer(void *owner)
{
	Post *post = owner;

	post->claim = NULL;
	if (post->exchange != NULL && post->wait_ms > 0 && post->answer.problem == MR_PROBLEM_NONE)
		wait_for_end(post);
	if (post->pending == 0)
		send_answer(post, 202);
}

/* Where the event of an answer that is given again is, only that says; of a batch it does not say. */
static void
wait_for_end(Post *post)
{
	for (int i = 0; i < post->events.count; i++)
	{
		Sent *sent = &post->sent[i];
		MrCoordinate event = {0};

		if (!post->events.is_batch)
		{
			/* of an answer that is given again: what is recorded may name another topic, which is not asked for here */
			if (!mr_coordinate_read(&event, post->answer.location + strlen("/events/")) ||
				strcmp(event.topic, post->context->topic) != 0)
				return;
		}
		else if (post->is_replayed || post->events.items[i].error[0] != '\0' ||
				 sent->outcome->failure != MR_PUBLISH_OK)
			continue;
		else
		{
			snprintf(event.partition, sizeof(event.partition), "%d", sent->outcome->partition);
			snprintf(event.offset, sizeof(event.offset), "%lld", (long long) sent->outcome->offset);
		}
		sent->wait = mr_event_wait(post->context->waits, &event, !post->events.is_batch,
								   post->wait_ms, on_processed, sent);
		if (sent->wait == NULL)
		{
			forget_waits(post); /* too many: it is 202, as if the time was over */
			return;
		}
		post->pending++;
	}
}

static void
forget_waits(Post *post)
{
	for (int i = 0; post->sent != NULL && i < post->events.count; i++)
	{
		if (post->sent[i].wait != NULL)
			mr_event_wait_abandon(post->sent[i].wait);
		post->sent[i].wait = NULL;
	}
	post->pending = 0;
}

static void
on_processed(void *owner, const char *pipelines)
{
	Sent *sent = owner;
	Post *post = sent->post;

	sent->wait = NULL;
	if (pipelines == NULL)
	{
		send_answer(post, 202);
		return;
	}
	if (!post->events.is_batch)
		mr_post_wait_add(&post->answer.body, pipelines);
	if (--post->pending == 0)
		send_answer(post, 200);
}

static void
send_answer(Post *post, int status)
{
	MrPostAnswer *answer = &post->answer;
	MrExchange *exchange = post->exchange;

	if (exchange != NULL)
	{
		mr_exchange_forget_work(exchange);
		if (answer->problem != MR_PROBLEM_NONE)
			mr_exchange_refuse(exchange, answer->problem,
							   answer->detail[0] != '\0' ? answer->detail : NULL, NULL);
		else
		{
			exchange->is_done = true;
			if (answer->location[0] != '\0')
				mr_exchange_set_header(exchange, "Location", answer->location);
			if (post->is_replayed)
				mr_exchange_set_header(exchange, "Idempotency-Replayed", "true");
			mr_exchange_answer(exchange, status, "application/json", &answer->body);
		}
	}
	free_post(post);
}

/* What is sent is published, whether somebody waits for it or not; with a claim its answer is for the next who asks. */
static void
abandon(void *work)
{
	Post *post = work;

	post->exchange = NULL;
	if (post->claim == NULL)
	{
		free_post(post);
		return;
	}
	for (int i = 0; i < post->events.count; i++)
		post->held += post->events.items[i].message.payload.len;
	mr_budget_change(post->context->budget, 0, post->held);
}

static void
free_post(void *owner)
{
	Post *post = owner;

	mr_budget_change(post->context->budget, post->held, 0);
	forget_waits(post);
	for (int i = 0; post->sent != NULL && i < post->events.count; i++)
		if (post->sent[i].delivery != NULL)
			mr_delivery_forget(post->sent[i].delivery);
	mr_event_items_free(&post->events);
	mr_post_answer_free(&post->answer);
	free(post->outcomes);
	free(post->sent);
	free(post->trace_state);
	free(post);
}
