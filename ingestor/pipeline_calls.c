/* Questions, calls, and the way of their answers. */
#include "ingestor/pipeline_calls.h"

#include "common/eventloop.h"
#include "common/log.h"
#include "ingestor/fetch/start_at.h"

static MrReply reply(MrPipelineCalls *calls, MrControlAnswer answer, uint64_t tag);
static void ask(MrPipelineCalls *calls, MrQuestion question, rd_kafka_t *rk);
static MrPipelineCalls *answered(const MrQuestion *question);
static void on_topic(MrQuestion *question);
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
	if (calls->topic_pending || calls->draining)
		return;
	calls->topic_pending = true;
	ask(calls, (MrQuestion){.kind = MR_ASK_TOPIC, .is_first = is_first, .answer = on_topic}, rk);
}

void
mr_pipeline_calls_starts(MrPipelineCalls *calls, rd_kafka_t *rk, int known, const char *start_at)
{
	MrQuestion question = {.kind = MR_ASK_STARTS, .first = known, .answer = on_starts};

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
	ask(calls,
		(MrQuestion){.kind = MR_ASK_WATERMARKS,
					 .first = partition,
					 .tag = question,
					 .answer = on_watermarks},
		rk);
}

void
mr_pipeline_calls_look(MrPipelineCalls *calls, rd_kafka_t *rk, int32_t partition)
{
	ask(calls, (MrQuestion){.kind = MR_ASK_WATERMARKS, .first = partition, .answer = on_looked},
		rk);
}

void
mr_pipeline_calls_locate(MrPipelineCalls *calls, rd_kafka_t *rk, int32_t partition,
						 uint32_t question, int64_t time)
{
	ask(calls,
		(MrQuestion){.kind = MR_ASK_TIME,
					 .first = partition,
					 .time = time,
					 .tag = question,
					 .answer = on_located},
		rk);
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
		ask(calls, (MrQuestion){.kind = MR_ASK_RETENTION, .answer = on_retention}, rk);
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
ask(MrPipelineCalls *calls, MrQuestion question, rd_kafka_t *rk)
{
	question.rk = rk;
	question.topic = (char *) calls->topic; /* the resolver takes a copy */
	question.owner = calls;
	calls->jobs++;
	calls->questions++;
	mr_resolver_ask(calls->resolver, &question);
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
	calls->answers->topic(calls->owner, question->ok, question->err, question->error);
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
			   MR_STR("topic", calls->topic), MR_STR("error", question->error));
	if (!question->ok || question->count == 0 || calls->draining)
	{
		calls->starts_pending = false;
		return;
	}
	mr_catalogue_add_partitions(calls->control, calls->pipeline, question->first, question->offsets,
								question->count, reply(calls, on_added, 0));
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
	calls->answers->known(calls->owner, known);
}

static void
on_watermarks(MrQuestion *question)
{
	MrPipelineCalls *calls = answered(question);

	calls->answers->watermarks(calls->owner, question->first, question->tag, question->ok,
							   question->low, question->high);
}

static void
on_looked(MrQuestion *question)
{
	MrPipelineCalls *calls = answered(question);

	calls->answers->looked(calls->owner, question->first, question->ok, question->low,
						   question->high);
}

static void
on_located(MrQuestion *question)
{
	MrPipelineCalls *calls = answered(question);

	calls->answers->located(calls->owner, question->first, question->tag, question->ok,
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
			   MR_STR("pipeline", calls->pipeline), MR_STR("topic", calls->topic),
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
