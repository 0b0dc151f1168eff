#include "api/resource/post_answer.h"

#include <stdio.h>
#include <string.h>

#include "api/control/json_text.h"

static void answer_one(MrPostAnswer *answer, const MrEventItem *item, const MrPostOutcome *outcome,
					   const char *topic);
static void answer_batch(MrPostAnswer *answer, const MrEventItems *events,
						 const MrPostOutcome *outcomes, const char *topic, bool lists);
static void put_published(MrBuffer *out, int line, const char *topic, const MrPostOutcome *outcome);
static void put_rejected(MrBuffer *out, int line, const char *code, const char *detail);
static MrProblem problem_of(MrPublishFailure failure);

void
mr_post_answer(MrPostAnswer *answer, const MrEventItems *events, const MrPostOutcome *outcomes,
			   const char *topic, bool lists)
{
	*answer = (MrPostAnswer){.problem = MR_PROBLEM_NONE};
	if (events->is_batch)
		answer_batch(answer, events, outcomes, topic, lists);
	else
		answer_one(answer, &events->items[0], &outcomes[0], topic);
}

void
mr_post_answer_free(MrPostAnswer *answer)
{
	mr_buffer_free(&answer->body);
}

/* The public id of what was published is its coordinate. */
static void
answer_one(MrPostAnswer *answer, const MrEventItem *item, const MrPostOutcome *outcome,
		   const char *topic)
{
	if (item->error[0] != '\0' || outcome->failure != MR_PUBLISH_OK)
	{
		answer->problem = item->error[0] != '\0' ? MR_PROBLEM_BODY : problem_of(outcome->failure);
		snprintf(answer->detail, sizeof(answer->detail), "%s", item->error);
		return;
	}
	answer->is_final = true;
	snprintf(answer->location, sizeof(answer->location), "/events/%s:%d:%lld", topic,
			 outcome->partition, (long long) outcome->offset);
	mr_buffer_printf(&answer->body,
					 "{\"id\":\"%s\",\"topic\":\"%s\",\"partition\":%d,\"offset\":\"%lld\"}\n",
					 answer->location + strlen("/events/"), topic, outcome->partition,
					 (long long) outcome->offset);
}

/* Nothing published because of Kafka is an answer of its own: the client sends all of it again. */
static void
answer_batch(MrPostAnswer *answer, const MrEventItems *events, const MrPostOutcome *outcomes,
			 const char *topic, bool lists)
{
	MrBuffer published = {0};
	MrBuffer rejected = {0};
	MrPublishFailure failure = MR_PUBLISH_OK;
	int accepted = 0;

	for (int i = 0; i < events->count; i++)
	{
		const MrEventItem *item = &events->items[i];
		const MrPostOutcome *outcome = &outcomes[i];

		if (item->error[0] != '\0')
			put_rejected(&rejected, item->line, mr_problem_code(MR_PROBLEM_BODY), item->error);
		else if (outcome->failure != MR_PUBLISH_OK)
		{
			failure = outcome->failure;
			put_rejected(&rejected, item->line, mr_problem_code(problem_of(failure)),
						 outcome->text);
		}
		else
		{
			accepted++;
			if (lists)
				put_published(&published, item->line, topic, outcome);
		}
	}
	answer->is_final = failure == MR_PUBLISH_OK;
	if (accepted == 0 && failure != MR_PUBLISH_OK)
		answer->problem = problem_of(failure);
	else
	{
		mr_buffer_printf(&answer->body, "{\"accepted\":%d,\"rejected\":[", accepted);
		mr_buffer_append(&answer->body, rejected.data, rejected.len);
		if (lists)
		{
			mr_buffer_printf(&answer->body, "],\"published\":[");
			mr_buffer_append(&answer->body, published.data, published.len);
		}
		mr_buffer_append(&answer->body, "]}\n", 3);
	}
	mr_buffer_free(&published);
	mr_buffer_free(&rejected);
}

static void
put_published(MrBuffer *out, int line, const char *topic, const MrPostOutcome *outcome)
{
	mr_buffer_printf(out, "%s{\"line\":%d,\"id\":\"%s:%d:%lld\"}", out->len > 0 ? "," : "", line,
					 topic, outcome->partition, (long long) outcome->offset);
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
