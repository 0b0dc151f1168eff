/*
 * What a pipeline asks the catalogue (over the control connection) and the broker (by the
 * resolver), and what it does with the answers. `jobs` counts answers still to come.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/eventloop.h"
#include "common/log.h"
#include "ingestor/consumer.h"
#include "ingestor/ingestor.h"
#include "ingestor/pipeline.h"
#include "ingestor/fetch/start_at.h"

static void call(MrPipeline *pl, const char *sql, int count, const char *const *values,
				 MrControlAnswer answer, uint64_t tag);
static void ask(MrPipeline *pl, MrPartition *part, MrQuestionKind kind, int64_t time,
				void (*answer)(MrQuestion *question));
static void ask_broker(MrPipeline *pl, MrQuestion *question);
static void answered(MrPipeline *pl);
static void on_retention(MrQuestion *question);
static void on_told(void *owner, const PGresult *result, uint64_t tag);
static void on_starts(MrQuestion *question);
static void on_added(void *owner, const PGresult *result, uint64_t tag);
static void on_watermarks(MrQuestion *question);
static void on_located(MrQuestion *question);
static void on_position_set(void *owner, const PGresult *result, uint64_t tag);
static void on_stopped(void *owner, const PGresult *result, uint64_t tag);
static void on_positions(void *owner, const PGresult *result, uint64_t tag);
static void on_reported(void *owner, const PGresult *result, uint64_t tag);
static void report_watermarks(MrPipeline *pl);
static void commit_settled(MrPipeline *pl);
static MrPartition *asked_partition(const MrQuestion *question);

/* Partitions without a row: where do they begin? Several ingestors may ask; the first one counts. */
void
mr_pipeline_refresh(MrPipeline *pl)
{
	MrQuestion question = {.kind = MR_ASK_STARTS,
						   .topic = pl->topic,
						   .first = pl->known,
						   .owner = pl,
						   .answer = on_starts};

	if (pl->resolving_starts || pl->consumer == NULL || pl->draining)
		return;
	if (!mr_start_at_parse(pl->start_at, &question.time))
	{
		mr_log(MR_LOG_ERROR, "start_at was not understood", MR_STR("pipeline", pl->name),
			   MR_STR("start_at", pl->start_at),
			   MR_STR("hint", "Set it to earliest, latest or an ISO 8601 time with a zone."));
		return;
	}
	pl->resolving_starts = true;
	ask_broker(pl, &question);
}

void
mr_pipeline_ask_watermarks(MrPipeline *pl, MrPartition *part)
{
	ask(pl, part, MR_ASK_WATERMARKS, 0, on_watermarks);
}

void
mr_pipeline_locate(MrPipeline *pl, MrPartition *part, int64_t ts)
{
	ask(pl, part, MR_ASK_TIME, ts, on_located);
}

void
mr_pipeline_stop_partition(MrPipeline *pl, MrPartition *part, const char *error, const char *hint)
{
	char number[16];
	char epoch[24];
	const char *const values[] = {pl->name, number, epoch, error, hint};

	snprintf(number, sizeof(number), "%d", part->number);
	snprintf(epoch, sizeof(epoch), "%" PRId64, part->epoch);
	call(pl, "SELECT millrace.stop_partition($1, $2, $3, $4, $5)", 5, values, on_stopped, 0);
}

void
mr_pipeline_ask_positions(MrPipeline *pl)
{
	const char *const values[] = {pl->name};

	pl->positions_again = pl->positions_pending;
	if (pl->positions_pending || pl->removed)
		return;
	pl->positions_pending = true;
	call(pl, "SELECT * FROM millrace.positions($1)", 1, values, on_positions, ++pl->tick);
}

void
mr_pipeline_report(MrPipeline *pl)
{
	int64_t now = mr_now_ms();
	uint64_t losses = mr_control_losses(pl->ingestor->control);
	MrBuffer about = {0};
	const char *values[2] = {pl->name, NULL};

	if (pl->removed || pl->draining)
		return;
	/* A broker that does not answer keeps the resolver for seconds: where events begin is asked first. */
	if (pl->consumer != NULL && pl->known > 0 && mr_report_wants_retention(&pl->report, now))
	{
		MrQuestion question = {.kind = MR_ASK_RETENTION,
							   .topic = pl->topic,
							   .owner = pl,
							   .answer = on_retention};

		mr_report_asked(&pl->report, now);
		ask_broker(pl, &question);
	}
	if (!mr_report_is_due(&pl->report, now, losses))
		return;
	mr_report_put(&pl->report, rd_kafka_version_str(), event_get_version(), &about);
	values[1] = mr_buffer_string(&about);
	mr_report_told(&pl->report, now, losses);
	call(pl, "SELECT millrace.report($1, $2)", 2, values, on_told, 0);
	mr_buffer_free(&about);
}

static void
call(MrPipeline *pl, const char *sql, int count, const char *const *values, MrControlAnswer answer,
	 uint64_t tag)
{
	pl->jobs++;
	mr_control_call(pl->ingestor->control, sql, count, values, answer, pl, tag);
}

static void
ask(MrPipeline *pl, MrPartition *part, MrQuestionKind kind, int64_t time,
	void (*answer)(MrQuestion *question))
{
	MrQuestion question = {.kind = kind,
						   .topic = pl->topic,
						   .first = part->number,
						   .time = time,
						   .ticket = ++part->ticket,
						   .owner = pl,
						   .answer = answer};

	if (pl->consumer != NULL)
		ask_broker(pl, &question);
}

static void
ask_broker(MrPipeline *pl, MrQuestion *question)
{
	question->rk = mr_consumer_handle(pl->consumer);
	pl->jobs++;
	pl->questions++;
	mr_resolver_ask(pl->ingestor->resolver, question);
}

static void
answered(MrPipeline *pl)
{
	pl->jobs--;
	pl->questions--;
}

/* A cluster may forbid us to look: then doctor() does without. */
static void
on_retention(MrQuestion *question)
{
	MrPipeline *pl = question->owner;

	answered(pl);
	mr_report_answered(&pl->report, question->ok, question->low);
	if (!question->ok)
		mr_log(MR_LOG_DEBUG, "could not ask for the topic's retention",
			   MR_STR("pipeline", pl->name), MR_STR("topic", pl->topic),
			   MR_STR("error", question->error));
	mr_pipeline_report(pl);
}

static void
on_told(void *owner, const PGresult *result, uint64_t tag)
{
	MrPipeline *pl = owner;

	(void) result; /* a lost connection makes it due again; else the next minute does */
	(void) tag;
	pl->jobs--;
	pl->report.telling = false;
}

static void
on_starts(MrQuestion *question)
{
	MrPipeline *pl = question->owner;
	MrBuffer starts = {0};
	char known[16];
	const char *values[3] = {pl->name, known, NULL};

	answered(pl);
	if (!question->ok || question->count == 0 || pl->draining)
	{
		if (!question->ok)
			mr_log(MR_LOG_WARN, "could not ask for the start of the topic",
				   MR_STR("pipeline", pl->name), MR_STR("topic", pl->topic),
				   MR_STR("error", question->error));
		pl->resolving_starts = false;
		return;
	}
	mr_buffer_append(&starts, "{", 1);
	for (int i = 0; i < question->count; i++)
		mr_buffer_printf(&starts, "%s%" PRId64, i ? "," : "", question->offsets[i]);
	mr_buffer_append(&starts, "}", 1);
	snprintf(known, sizeof(known), "%d", question->first);
	values[2] = mr_buffer_string(&starts);
	call(pl, "SELECT millrace.add_partitions($1, $2, $3)", 3, values, on_added, 0);
	mr_buffer_free(&starts);
}

static void
on_added(void *owner, const PGresult *result, uint64_t tag)
{
	MrPipeline *pl = owner;

	(void) tag;
	pl->jobs--;
	pl->resolving_starts = false;
	if (result == NULL || PQntuples(result) != 1)
		return;
	pl->known = atoi(PQgetvalue(result, 0, 0));
	mr_log(MR_LOG_INFO, "partitions are known", MR_STR("pipeline", pl->name),
		   MR_INT("partitions", pl->known));
	for (int i = 0; i < pl->lane_count; i++)
		mr_lane_poke(pl->lanes[i]);
}

static void
on_watermarks(MrQuestion *question)
{
	MrPipeline *pl = question->owner;
	MrPartition *part = asked_partition(question);

	answered(pl);
	if (part != NULL)
		mr_partition_watermarks(part, question->ok, question->low, question->high);
}

static void
on_located(MrQuestion *question)
{
	MrPipeline *pl = question->owner;
	MrPartition *part = asked_partition(question);
	char number[16];
	char epoch[24];
	char offset[24];
	const char *const values[] = {pl->name, number, epoch, offset};

	answered(pl);
	if (part == NULL)
		return;
	if (!question->ok)
	{
		mr_partition_located(part, false, 0);
		return;
	}
	snprintf(number, sizeof(number), "%d", part->number);
	snprintf(epoch, sizeof(epoch), "%" PRId64, part->epoch);
	snprintf(offset, sizeof(offset), "%" PRId64, question->low);
	call(pl, "SELECT millrace.set_position($1, $2, $3, $4)", 4, values, on_position_set,
		 (uint64_t) part->number);
}

static void
on_position_set(void *owner, const PGresult *result, uint64_t tag)
{
	MrPipeline *pl = owner;
	MrPartition *part = mr_pipeline_partition(pl, (int32_t) tag);

	pl->jobs--;
	if (part != NULL)
		mr_partition_located(part, result != NULL,
							 result ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : 0);
}

static void
on_stopped(void *owner, const PGresult *result, uint64_t tag)
{
	MrPipeline *pl = owner;

	(void) result; /* if it failed, positions() says "active", and we find the same trouble again */
	(void) tag;
	pl->jobs--;
}

static void
on_positions(void *owner, const PGresult *result, uint64_t tag)
{
	MrPipeline *pl = owner;

	pl->jobs--;
	pl->positions_pending = false;
	if (pl->positions_again)
		mr_pipeline_ask_positions(pl);
	if (result == NULL)
		return;
	for (int row = 0; row < PQntuples(result); row++)
	{
		int32_t number = atoi(PQgetvalue(result, row, PQfnumber(result, "partition")));
		MrPartition *part = mr_pipeline_partition(pl, number);

		if (part != NULL)
			mr_partition_seen(
				part, tag, strtoll(PQgetvalue(result, row, PQfnumber(result, "epoch")), NULL, 10),
				strtoll(PQgetvalue(result, row, PQfnumber(result, "next_offset")), NULL, 10),
				strcmp(PQgetvalue(result, row, PQfnumber(result, "state")), "stopped") == 0);
	}
	commit_settled(pl);
	if (!pl->draining)
		report_watermarks(pl);
}

/* Ends of our partitions as the last fetches saw them, for the views that tell lag. */
static void
report_watermarks(MrPipeline *pl)
{
	MrBuffer numbers = {0};
	MrBuffer highs = {0};
	const char *values[3] = {pl->name, NULL, NULL};

	for (int i = 0; pl->consumer != NULL && i < pl->partition_cap; i++)
	{
		int64_t low, high = -1;

		if (pl->partitions[i] == NULL || !mr_partition_is_assigned(pl->partitions[i]))
			continue;
		rd_kafka_get_watermark_offsets(mr_consumer_handle(pl->consumer), pl->topic, i, &low, &high);
		if (high < 0)
			continue;
		mr_buffer_printf(&numbers, "%c%d", numbers.len ? ',' : '{', i);
		mr_buffer_printf(&highs, "%c%" PRId64, highs.len ? ',' : '{', high);
	}
	if (numbers.len > 0)
	{
		mr_buffer_append(&numbers, "}", 1);
		mr_buffer_append(&highs, "}", 1);
		values[1] = mr_buffer_string(&numbers);
		values[2] = mr_buffer_string(&highs);
		call(pl, "SELECT millrace.report_watermarks($1, $2, $3)", 3, values, on_reported, 0);
	}
	mr_buffer_free(&numbers);
	mr_buffer_free(&highs);
}

static void
on_reported(void *owner, const PGresult *result, uint64_t tag)
{
	(void) result;
	(void) tag;
	((MrPipeline *) owner)->jobs--;
}

/* So that lag tools see something; never read by us. */
static void
commit_settled(MrPipeline *pl)
{
	rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(8);

	for (int i = 0; i < pl->partition_cap; i++)
	{
		MrPartition *part = pl->partitions[i];

		if (part == NULL || !mr_partition_is_assigned(part) || part->settled == part->committed)
			continue;
		rd_kafka_topic_partition_list_add(offsets, pl->topic, part->number)->offset = part->settled;
		part->committed = part->settled;
	}
	if (pl->consumer != NULL)
		mr_consumer_commit(pl->consumer, offsets);
	rd_kafka_topic_partition_list_destroy(offsets);
}

/* NULL when the partition has moved on since. */
static MrPartition *
asked_partition(const MrQuestion *question)
{
	MrPartition *part = mr_pipeline_partition(question->owner, question->first);

	return part != NULL && part->ticket == question->ticket ? part : NULL;
}
