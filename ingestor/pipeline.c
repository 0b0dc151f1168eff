/* One pipeline: its life, its partitions, and the way of a message from the consumer to a lane. */
#include "ingestor/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "common/eventloop.h"
#include "common/log.h"
#include "ingestor/consumer.h"
#include "ingestor/ingestor.h"
#include "ingestor/message.h"

static void make_consumer(MrPipeline *pl);
static void remake_consumer(MrPipeline *pl);
static MrPartition *add_partition(MrPipeline *pl, int32_t number);
static void check_message(MrPipeline *pl, MrPartition *part, const rd_kafka_message_t *message);
static bool is_data_error(rd_kafka_resp_err_t err);

MrPipeline *
mr_pipeline_new(struct MrIngestor *ingestor, const MrPipelineRow *row)
{
	MrPipeline *pl = mr_calloc(1, sizeof(*pl));

	pl->ingestor = ingestor;
	pl->name = mr_strdup(row->name);
	pl->topic = mr_strdup(row->topic);
	pl->group_id = mr_strdup(row->group_id);
	pl->start_at = mr_strdup(row->start_at);
	pl->known = row->partitions;
	pl->lane_count = row->lanes > 0 ? row->lanes : 1;
	pl->lanes = mr_calloc((size_t) pl->lane_count, sizeof(MrLane *));
	for (int i = 0; i < pl->lane_count; i++)
		pl->lanes[i] = mr_lane_new(pl, i, mr_loop_base(ingestor->loop), ingestor->settings.dsn);
	mr_log(MR_LOG_INFO, "pipeline begins", MR_STR("pipeline", pl->name), MR_STR("topic", pl->topic),
		   MR_STR("group", pl->group_id), MR_INT("lanes", pl->lane_count));
	make_consumer(pl);
	return pl;
}

bool
mr_pipeline_update(MrPipeline *pl, const MrPipelineRow *row)
{
	if (strcmp(pl->topic, row->topic) != 0 || strcmp(pl->group_id, row->group_id) != 0 ||
		pl->lane_count != (row->lanes > 0 ? row->lanes : 1) ||
		(row->partitions < pl->known && row->partitions == 0))
		return false;
	if (row->partitions > pl->known)
	{
		pl->known = row->partitions;
		for (int i = 0; i < pl->lane_count; i++)
			mr_lane_poke(pl->lanes[i]);
	}
	if (strcmp(pl->start_at, row->start_at) != 0)
	{
		free(pl->start_at);
		pl->start_at = mr_strdup(row->start_at);
	}
	for (int i = 0; i < pl->lane_count; i++)
		if (mr_lane_is_open(pl->lanes[i]) && pl->lanes[i]->incarnation != row->incarnation)
			mr_lane_reset(pl->lanes[i], "the server was restarted: what was staged may be gone");
	if (pl->consumer == NULL || mr_consumer_is_fatal(pl->consumer))
		remake_consumer(pl);
	return true;
}

void
mr_pipeline_remove(MrPipeline *pl)
{
	if (pl->removed)
		return;
	mr_log(MR_LOG_INFO, "pipeline ends", MR_STR("pipeline", pl->name));
	pl->removed = true;
	mr_pipeline_drain(pl);
	mr_pipeline_leave(pl);
}

bool
mr_pipeline_may_free(const MrPipeline *pl)
{
	return pl->removed && pl->jobs == 0 && mr_pipeline_has_left(pl);
}

void
mr_pipeline_free(MrPipeline *pl)
{
	mr_consumer_free(pl->consumer);
	for (int i = 0; i < pl->lane_count; i++)
		mr_lane_free(pl->lanes[i]);
	for (int i = 0; i < pl->partition_cap; i++)
		free(pl->partitions[i]);
	free(pl->partitions);
	free(pl->lanes);
	free(pl->name);
	free(pl->topic);
	free(pl->group_id);
	free(pl->start_at);
	free(pl);
}

void
mr_pipeline_every(MrPipeline *pl)
{
	for (int i = 0; i < pl->lane_count; i++)
		mr_lane_check_blocked(pl->lanes[i], pl->ingestor->settings.hold_after_ms);
}

void
mr_pipeline_poll(MrPipeline *pl)
{
	mr_pipeline_ask_positions(pl);
	mr_pipeline_report(pl);
	/* An earlier attempt to learn where they begin may have failed. */
	for (int i = pl->known; i < pl->partition_cap; i++)
		if (pl->partitions[i] != NULL && pl->partitions[i]->state == MR_PARTITION_WAITING)
			mr_pipeline_refresh(pl);
}

void
mr_pipeline_drain(MrPipeline *pl)
{
	pl->draining = true;
	for (int i = 0; i < pl->partition_cap; i++)
		if (pl->partitions[i] != NULL)
			mr_pipeline_fetch(pl, pl->partitions[i], false, 0);
	for (int i = 0; i < pl->lane_count; i++)
		mr_lane_flush(pl->lanes[i]);
}

bool
mr_pipeline_is_flushed(const MrPipeline *pl)
{
	for (int i = 0; i < pl->lane_count; i++)
		if (!mr_lane_is_drained(pl->lanes[i]))
			return false;
	return true;
}

bool
mr_pipeline_is_settled(const MrPipeline *pl)
{
	for (int i = 0; i < pl->partition_cap; i++)
	{
		const MrPartition *part = pl->partitions[i];

		if (part != NULL && mr_partition_is_assigned(part) && part->settled < part->staged)
			return false;
	}
	return true;
}

void
mr_pipeline_leave(MrPipeline *pl)
{
	if (pl->leaving)
		return;
	pl->leaving = true;
	if (pl->consumer != NULL)
		mr_consumer_close(pl->consumer);
}

bool
mr_pipeline_has_left(const MrPipeline *pl)
{
	return pl->leaving && (pl->consumer == NULL || mr_consumer_is_closed(pl->consumer));
}

const char *
mr_pipeline_name(const MrPipeline *pl)
{
	return pl->name;
}

/* While draining nothing is assigned any more. */
int
mr_pipeline_known(const MrPipeline *pl)
{
	return pl->draining ? 0 : pl->known;
}

uint64_t
mr_pipeline_tick(const MrPipeline *pl)
{
	return pl->tick;
}

MrPartition *
mr_pipeline_partition(const MrPipeline *pl, int32_t number)
{
	return number >= 0 && number < pl->partition_cap ? pl->partitions[number] : NULL;
}

MrPartition *
mr_pipeline_next_of(const MrPipeline *pl, const MrLane *lane, const MrPartition *part)
{
	int number = part == NULL ? lane->number : part->number + pl->lane_count;

	for (; number < pl->partition_cap; number += pl->lane_count)
		if (pl->partitions[number] != NULL)
			return pl->partitions[number];
	return NULL;
}

void
mr_pipeline_fetch(MrPipeline *pl, MrPartition *part, bool fetch, int64_t from)
{
	if (pl->consumer != NULL)
		mr_consumer_fetch(pl->consumer, part, fetch && !pl->draining, from);
}

void
mr_pipeline_want_assign(MrPipeline *pl, MrPartition *part)
{
	if (part->number >= pl->known)
		mr_pipeline_refresh(pl);
	mr_lane_poke(part->lane);
}

bool
mr_pipeline_is_held(const MrPipeline *pl, const MrPartition *part)
{
	(void) pl;
	return part->lane->held;
}

void
mr_pipeline_move(MrPipeline *pl, MrPartition *part, int64_t next)
{
	(void) pl;
	mr_lane_move(part->lane, part, next);
}

void
mr_pipeline_count_fenced(MrPipeline *pl)
{
	pl->fenced++;
}

bool
mr_pipeline_is_taking(const MrPipeline *pl)
{
	return pl->taking;
}

bool
mr_pipeline_batch_is_full(const MrPipeline *pl, const MrBatch *batch)
{
	return batch->rows >= pl->ingestor->settings.batch_rows ||
		   (batch->rows > 0 && (int64_t) batch->data.len >= pl->ingestor->settings.batch_bytes);
}

void
mr_pipeline_staged(MrPipeline *pl, int32_t partition, int64_t epoch, int64_t next)
{
	MrPartition *part = mr_pipeline_partition(pl, partition);

	if (part != NULL && part->epoch == epoch && mr_partition_is_assigned(part))
	{
		part->staged = next;
		part->corrupt = 0;
	}
}

void
mr_pipeline_blocked(MrPipeline *pl)
{
	pl->taking = false;
}

void
mr_pipeline_wake(MrPipeline *pl)
{
	if (pl->consumer != NULL)
		mr_consumer_wake(pl->consumer);
}

void
mr_pipeline_granted(MrPipeline *pl, int32_t number)
{
	MrPartition *part = mr_pipeline_partition(pl, number);

	if (part == NULL)
		part = add_partition(pl, number);
	mr_partition_granted(part);
}

void
mr_pipeline_revoked(MrPipeline *pl, int32_t number)
{
	MrPartition *part = mr_pipeline_partition(pl, number);

	if (part == NULL)
		return;
	mr_partition_revoked(part);
	mr_lane_flush(part->lane);
}

/* The hot path. */
void
mr_pipeline_message(MrPipeline *pl, rd_kafka_message_t *message)
{
	MrPartition *part = mr_pipeline_partition(pl, message->partition);

	if (part == NULL || !part->fetching || part->replan)
		return;
	if (part->state == MR_PARTITION_CHECKING)
		check_message(pl, part, message);
	else if (part->state == MR_PARTITION_FLOWING && message->offset >= part->position)
		mr_message_stage(pl, part, message);
}

void
mr_pipeline_kafka_error(MrPipeline *pl, const rd_kafka_message_t *message)
{
	MrPartition *part = message->rkt ? mr_pipeline_partition(pl, message->partition) : NULL;

	if (part != NULL && (!part->fetching || part->replan))
		return;
	if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
	{
		if (part != NULL)
			mr_partition_end_seen(part, message->offset);
		return;
	}
	pl->kafka_errors++;
	mr_log(MR_LOG_WARN, "kafka error", MR_STR("pipeline", pl->name),
		   MR_INT("partition", part ? part->number : -1),
		   MR_STR("code", rd_kafka_err2name(message->err)),
		   MR_STR("error", rd_kafka_message_errstr(message)));
	if (part == NULL)
		return;
	if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
		message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
		mr_partition_out_of_range(part);
	else if (is_data_error(message->err))
	{
		pl->corrupt++;
		mr_partition_corrupt(part, rd_kafka_message_errstr(message));
	}
	else if (message->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
			 message->err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
			 message->err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
		mr_partition_doubt(part, 1000); /* when it is back, is it the same? */
}

/* Blocked lanes whose partitions are still fetched hold the queue. */
bool
mr_pipeline_may_take(const MrPipeline *pl)
{
	for (int i = 0; i < pl->lane_count; i++)
		if (pl->lanes[i]->blocked && !pl->lanes[i]->held)
			return false;
	return true;
}

void
mr_pipeline_taken(MrPipeline *pl, bool more)
{
	pl->taking = more;
	if (more)
		return;
	for (int i = 0; i < pl->lane_count; i++)
		if (!mr_batch_is_empty(pl->lanes[i]->filling))
			mr_lane_pump(pl->lanes[i]);
}

void
mr_pipeline_unfetchable(MrPipeline *pl, int32_t number)
{
	MrPartition *part = mr_pipeline_partition(pl, number);

	if (part != NULL)
		mr_partition_doubt(part, 1000);
}

static void
make_consumer(MrPipeline *pl)
{
	char error[512];

	pl->consumer = mr_consumer_new(pl, mr_loop_base(pl->ingestor->loop), &pl->ingestor->settings,
								   mr_ingestor_fetch_buffer(pl->ingestor), error, sizeof(error));
	if (pl->consumer == NULL)
		mr_log(MR_LOG_ERROR, "could not set up the Kafka consumer", MR_STR("pipeline", pl->name),
			   MR_STR("error", error));
}

/* After a fatal error the handle is of no use any more, and its group membership is gone. */
static void
remake_consumer(MrPipeline *pl)
{
	if (pl->questions > 0)
		return; /* the resolver may be using it: next time */
	for (int i = 0; i < pl->partition_cap; i++)
		if (pl->partitions[i] != NULL)
		{
			mr_partition_revoked(pl->partitions[i]);
			pl->partitions[i]->fetching = pl->partitions[i]->want_fetch = false;
			pl->partitions[i]->replan = false;
		}
	mr_consumer_free(pl->consumer);
	make_consumer(pl);
}

static MrPartition *
add_partition(MrPipeline *pl, int32_t number)
{
	MrPartition *part = mr_calloc(1, sizeof(*part));

	if (number >= pl->partition_cap)
	{
		int cap = pl->partition_cap ? pl->partition_cap : 16;

		while (cap <= number)
			cap *= 2;
		pl->partitions = mr_realloc(pl->partitions, sizeof(MrPartition *) * (size_t) cap);
		memset(pl->partitions + pl->partition_cap, 0,
			   sizeof(MrPartition *) * (size_t) (cap - pl->partition_cap));
		pl->partition_cap = cap;
	}
	part->pipeline = pl;
	part->lane = pl->lanes[number % pl->lane_count];
	part->number = number;
	part->state = MR_PARTITION_REVOKED;
	part->committed = -1;
	part->entry = -1;
	part->backoff = (MrBackoff){.min_ms = 200, .max_ms = 2000};
	pl->partitions[number] = part;
	return part;
}

static void
check_message(MrPipeline *pl, MrPartition *part, const rd_kafka_message_t *message)
{
	rd_kafka_timestamp_type_t type;
	int64_t ts = rd_kafka_message_timestamp(message, &type);
	uint32_t crc = mr_message_crc(message->key, message->key_len, message->payload, message->len);

	if (mr_partition_check(part, message->offset, ts, crc) == MR_VERDICT_TAKE &&
		part->state == MR_PARTITION_FLOWING)
		mr_message_stage(pl, part, message);
}

/* Errors behind which librdkafka goes on with the next messages: these would be lost. */
static bool
is_data_error(rd_kafka_resp_err_t err)
{
	return err == RD_KAFKA_RESP_ERR__BAD_MSG || err == RD_KAFKA_RESP_ERR__BAD_COMPRESSION ||
		   err == RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED || err == RD_KAFKA_RESP_ERR_INVALID_MSG ||
		   err == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE || err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
}
