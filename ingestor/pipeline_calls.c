/* Questions, calls, and the way of their answers. */
#include "ingestor/pipeline_calls.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/eventloop.h"
#include "common/log.h"
#include "ingestor/fetch/start_at.h"

#define TOPICS_EVERY_MS 60000

static MrReply reply(MrPipelineCalls *calls, MrControlAnswer answer, uint64_t tag);
static void ask_partition(MrPipelineCalls *calls, int32_t number, MrQuestion question,
						  rd_kafka_t *rk);
static void ask(MrPipelineCalls *calls, MrQuestion question, rd_kafka_t *rk);
static const char *next_topic(MrPipelineCalls *calls);
static MrPipelineCalls *answered(const MrQuestion *question);
static void on_topic(MrQuestion *question);
static void on_topics(MrQuestion *question);
static void on_topics_reported(void *owner, const PGresult *result, uint64_t tag);
static void on_numbers(void *owner, const PGresult *result, uint64_t tag);
static void on_starts(MrQuestion *question);
static void on_added(void *owner, const PGresult *result, uint64_t tag);
static void on_watermarks(MrQuestion *question);
static void on_looked(MrQuestion *question);
static void on_located(MrQuestion *question);
static void on_position_set(void *owner, const PGresult *result, uint64_t tag);
static void on_positions(void *owner, const PGresult *result, uint64_t tag);
static void on_retention(MrQuestion *question);
static void on_reported(void *owner, const PGresult *result, uint64_t tag);
static void on_no_answer(void *owner, const PGresult *result, uint64_t tag);

void
mr_pipeline_calls_topic(MrPipelineCalls *calls, rd_kafka_t *rk, bool is_first)
{
	char *names;

	if (calls->topic_pending || calls->draining)
		return;
	calls->topic_pending = true;
	names = mr_topics_names(calls->topics);
	ask(calls,
		(MrQuestion){
			.kind = MR_ASK_TOPIC, .topic = names, .is_first = is_first, .answer = on_topic},
		rk);
	free(names);
}

void
mr_pipeline_calls_topics(MrPipelineCalls *calls, rd_kafka_t *rk)
{
	if (calls->topics_pending || calls->draining)
		return;
	calls->topics_pending = true;
	ask(calls, (MrQuestion){.kind = MR_ASK_TOPICS, .topic = (char[]){""}, .answer = on_topics}, rk);
}

void
mr_pipeline_calls_numbers(MrPipelineCalls *calls, int first)
{
	calls->numbers_again = calls->numbers_pending;
	if (calls->numbers_pending || calls->ended)
		return;
	calls->numbers_pending = true;
	mr_catalogue_numbers(calls->control, calls->pipeline, first, reply(calls, on_numbers, 0));
}

void
mr_pipeline_calls_starts(MrPipelineCalls *calls, rd_kafka_t *rk, const char *topic, int known,
						 const char *start_at)
{
	MrQuestion question = {.kind = MR_ASK_STARTS,
						   .topic = (char *) (uintptr_t) topic,
						   .first = known,
						   .answer = on_starts};

	if (calls->starts_pending || calls->draining)
		return;
	if (!mr_start_at_parse(start_at, &question.time))
	{
		mr_log(MR_LOG_ERROR, "start_at was not understood", MR_STR("pipeline", calls->pipeline),
			   MR_STR("start_at", start_at),
			   MR_STR("hint", "Set it to earliest, latest or an ISO 8601 time with a zone."));
		return;
	}
	calls->starts_pending = true;
	ask(calls, question, rk);
}

void
mr_pipeline_calls_watermarks(MrPipelineCalls *calls, rd_kafka_t *rk, int32_t partition,
							 uint32_t question)
{
	ask_partition(calls, partition,
				  (MrQuestion){.kind = MR_ASK_WATERMARKS, .tag = question, .answer = on_watermarks},
				  rk);
}

void
mr_pipeline_calls_look(MrPipelineCalls *calls, rd_kafka_t *rk, int32_t partition)
{
	ask_partition(calls, partition, (MrQuestion){.kind = MR_ASK_WATERMARKS, .answer = on_looked},
				  rk);
}

void
mr_pipeline_calls_locate(MrPipelineCalls *calls, rd_kafka_t *rk, int32_t partition,
						 uint32_t question, int64_t time)
{
	ask_partition(
		calls, partition,
		(MrQuestion){.kind = MR_ASK_TIME, .time = time, .tag = question, .answer = on_located}, rk);
}

/* The tag names the partition and the question. */
void
mr_pipeline_calls_set_position(MrPipelineCalls *calls, int32_t partition, int64_t epoch,
							   uint32_t question, int64_t offset)
{
	uint64_t tag = (uint64_t) question << 32 | (uint32_t) partition;

	mr_catalogue_set_position(calls->control, calls->pipeline, partition, epoch, offset,
							  reply(calls, on_position_set, tag));
}

/* If it fails, positions() says "active", and the partition meets the same trouble again. */
void
mr_pipeline_calls_stop(MrPipelineCalls *calls, int32_t partition, int64_t epoch, const char *error,
					   const char *hint)
{
	mr_catalogue_stop_partition(calls->control, calls->pipeline, partition, epoch, error, hint,
								reply(calls, on_no_answer, 0));
}

void
mr_pipeline_calls_positions(MrPipelineCalls *calls)
{
	calls->positions_again = calls->positions_pending;
	if (calls->positions_pending || calls->ended)
		return;
	calls->positions_pending = true;
	calls->positions_call++;
	mr_catalogue_positions(calls->control, calls->pipeline,
						   reply(calls, on_positions, calls->positions_call));
}

void
mr_pipeline_calls_report_ends(MrPipelineCalls *calls, const int64_t *partitions,
							  const int64_t *highs, const int64_t *lows, int count, bool reads)
{
	if (count > 0 && !calls->draining)
		mr_catalogue_report_ends(calls->control, calls->pipeline, partitions, highs, lows, count,
								 reads, reply(calls, on_no_answer, 0));
}

void
mr_pipeline_calls_report(MrPipelineCalls *calls, rd_kafka_t *rk)
{
	int64_t now = mr_now_ms();
	uint64_t losses = mr_control_losses(calls->control);
	MrBuffer about = {0};

	if (calls->ended || calls->draining)
		return;
	if (rk != NULL && mr_report_wants_retention(&calls->report, now))
	{
		mr_report_asked(&calls->report, now);
		ask(calls,
			(MrQuestion){.kind = MR_ASK_RETENTION,
						 .topic = (char *) (uintptr_t) next_topic(calls),
						 .answer = on_retention},
			rk);
	}
	if (!mr_report_is_due(&calls->report, now, losses))
		return;
	mr_report_put(&calls->report, rd_kafka_version_str(), event_get_version(), &about);
	mr_report_sent(&calls->report, now, losses);
	mr_catalogue_report(calls->control, calls->pipeline, mr_buffer_string(&about),
						reply(calls, on_reported, 0));
	mr_buffer_free(&about);
}

static MrReply
reply(MrPipelineCalls *calls, MrControlAnswer answer, uint64_t tag)
{
	calls->jobs++;
	return (MrReply){answer, calls, tag};
}

static void
ask_partition(MrPipelineCalls *calls, int32_t number, MrQuestion question, rd_kafka_t *rk)
{
	question.number = number;
	question.topic = (char *) (uintptr_t) mr_topics_name_of(calls->topics, number);
	question.first = mr_topics_partition_of(calls->topics, number);
	ask(calls, question, rk);
}

/* The resolver takes a copy of the texts. */
static void
ask(MrPipelineCalls *calls, MrQuestion question, rd_kafka_t *rk)
{
	question.rk = rk;
	question.owner = calls;
	calls->jobs++;
	calls->questions++;
	mr_resolver_ask(calls->resolver, &question);
}

/* Of several topics another one each time. */
static const char *
next_topic(MrPipelineCalls *calls)
{
	const MrTopics *topics = calls->topics;

	for (int i = 0; i < topics->count; i++)
	{
		const MrTopic *topic = &topics->items[(calls->retention_turn + i) % topics->count];

		if (!topic->subscribed)
			continue;
		calls->retention_turn = (calls->retention_turn + i + 1) % topics->count;
		return topic->name;
	}
	return "";
}

static MrPipelineCalls *
answered(const MrQuestion *question)
{
	MrPipelineCalls *calls = question->owner;

	calls->jobs--;
	calls->questions--;
	return calls;
}

static void
on_topic(MrQuestion *question)
{
	MrPipelineCalls *calls = answered(question);

	calls->topic_pending = false;
	calls->answers->topic(calls->owner, question->topic, question->ok, question->err,
						  question->error);
}

/* The list is long, and the same as a rule. It is reported again now and then: the catalogue may have gone back in time. */
static void
on_topics(MrQuestion *question)
{
	MrPipelineCalls *calls = answered(question);
	int64_t now = mr_now_ms();
	uint32_t crc;

	calls->topics_pending = false;
	if (mr_topics_subscribed(calls->topics) == 0)
		calls->answers->topic(calls->owner, "", question->ok, question->err, question->error);
	if (!question->ok || calls->draining)
		return;
	crc = (uint32_t) crc32(0, (const unsigned char *) question->names,
						   (unsigned) strlen(question->names));
	if (calls->topics_reported_ms != 0 && crc == calls->topics_reported &&
		now - calls->topics_reported_ms < TOPICS_EVERY_MS)
		return;
	calls->topics_reported = crc;
	calls->topics_reported_ms = now;
	mr_catalogue_report_topics(calls->control, calls->pipeline, question->names,
							   reply(calls, on_topics_reported, 0));
}

static void
on_topics_reported(void *owner, const PGresult *result, uint64_t tag)
{
	MrPipelineCalls *calls = owner;

	(void) tag;
	calls->jobs--;
	if (result == NULL)
		calls->topics_reported_ms = 0;
}

static void
on_numbers(void *owner, const PGresult *result, uint64_t tag)
{
	MrPipelineCalls *calls = owner;

	(void) tag;
	calls->jobs--;
	calls->numbers_pending = false;
	for (int i = 0; result != NULL && i < PQntuples(result); i++)
	{
		MrNumberRow row;

		mr_number_row_read(result, i, &row);
		calls->answers->number(calls->owner, &row);
	}
	if (calls->numbers_again)
		mr_pipeline_calls_numbers(calls, calls->topics->place_count);
	if (result != NULL)
		calls->answers->numbers_ended(calls->owner);
}

static void
on_starts(MrQuestion *question)
{
	MrPipelineCalls *calls = answered(question);

	if (question->ok)
		mr_trouble_clear(&calls->starts);
	else
		mr_log(mr_trouble_set(&calls->starts, question->error),
			   "could not ask for the start of the topic", MR_STR("pipeline", calls->pipeline),
			   MR_STR("topic", question->topic), MR_STR("error", question->error));
	if (!question->ok || question->count == 0 || calls->draining)
	{
		calls->starts_pending = false;
		return;
	}
	if (calls->topics->several)
		mr_catalogue_add_topic_partitions(calls->control, calls->pipeline, question->topic,
										  question->first, question->offsets, question->count,
										  reply(calls, on_added, 0));
	else
		mr_catalogue_add_partitions(calls->control, calls->pipeline, question->first,
									question->offsets, question->count, reply(calls, on_added, 0));
}

static void
on_added(void *owner, const PGresult *result, uint64_t tag)
{
	MrPipelineCalls *calls = owner;
	int known = (int) mr_catalogue_number(result, -1);

	(void) tag;
	calls->jobs--;
	calls->starts_pending = false;
	if (known < 0)
		return;
	mr_log(MR_LOG_INFO, "partitions are known", MR_STR("pipeline", calls->pipeline),
		   MR_INT("partitions", known));
	if (calls->topics->several)
		mr_pipeline_calls_numbers(calls, calls->topics->place_count);
	else
		calls->answers->known(calls->owner, known);
}

static void
on_watermarks(MrQuestion *question)
{
	MrPipelineCalls *calls = answered(question);

	calls->answers->watermarks(calls->owner, question->number, question->tag, question->ok,
							   question->low, question->high);
}

static void
on_looked(MrQuestion *question)
{
	MrPipelineCalls *calls = answered(question);

	calls->answers->looked(calls->owner, question->number, question->ok, question->low,
						   question->high);
}

static void
on_located(MrQuestion *question)
{
	MrPipelineCalls *calls = answered(question);

	calls->answers->located(calls->owner, question->number, question->tag, question->ok,
							question->low);
}

static void
on_position_set(void *owner, const PGresult *result, uint64_t tag)
{
	MrPipelineCalls *calls = owner;

	calls->jobs--;
	calls->answers->position_set(calls->owner, (int32_t) (uint32_t) tag, (uint32_t) (tag >> 32),
								 result != NULL, mr_catalogue_number(result, 0));
}

static void
on_positions(void *owner, const PGresult *result, uint64_t tag)
{
	MrPipelineCalls *calls = owner;

	calls->jobs--;
	calls->positions_pending = false;
	if (calls->positions_again)
		mr_pipeline_calls_positions(calls);
	if (result == NULL)
		return;
	for (int i = 0; i < PQntuples(result); i++)
	{
		MrPositionRow row;

		mr_position_row_read(result, i, &row);
		calls->answers->position(calls->owner, tag, &row);
	}
	calls->answers->positions_ended(calls->owner);
}

/* A cluster may forbid the question: then doctor() does without. */
static void
on_retention(MrQuestion *question)
{
	MrPipelineCalls *calls = answered(question);

	mr_report_answered(&calls->report, question->ok, question->low);
	if (!question->ok)
		mr_log(MR_LOG_DEBUG, "could not ask for the topic's retention",
			   MR_STR("pipeline", calls->pipeline), MR_STR("topic", question->topic),
			   MR_STR("error", question->error));
	mr_pipeline_calls_report(calls, NULL);
}

/* If it failed, a lost connection makes it due again; else the next minute does. */
static void
on_reported(void *owner, const PGresult *result, uint64_t tag)
{
	MrPipelineCalls *calls = owner;

	(void) result;
	(void) tag;
	calls->jobs--;
	calls->report.reporting = false;
}

static void
on_no_answer(void *owner, const PGresult *result, uint64_t tag)
{
	(void) result;
	(void) tag;
	((MrPipelineCalls *) owner)->jobs--;
}
