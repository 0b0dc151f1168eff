/* Finding out, and putting it into words. */
#include "ingestor/pipeline_trouble.h"

#include <stdio.h>
#include <string.h>

#include "common/eventloop.h"
#include "common/log.h"
#include "ingestor/fetch/kafka_advice.h"

#define SILENT_MS 4000 /* an idle topic is asked for this often; its consumer hears nothing then */
#define AGAIN_MS  1000 /* and while an error may be over */

void
mr_pipeline_trouble(const MrPipeline *pl, int64_t now_ms, MrPipelineTrouble *out)
{
	const MrKafkaError *kafka = mr_kafka_trouble_shown(&pl->consumer_counts.trouble);

	*out = (MrPipelineTrouble){0};
	if (kafka != NULL)
	{
		snprintf(out->kafka, sizeof(out->kafka), "%s", kafka->trouble.text);
		mr_kafka_advice(kafka->err, pl->topics.several ? pl->lacking : pl->topic, pl->group_id,
						pl->setup.settings, out->kafka_hint, sizeof(out->kafka_hint));
	}
	for (int i = 0; i < pl->lane_count && out->lane[0] == '\0'; i++)
	{
		const MrLaneWriter *writer = &pl->lanes[i].stage->writer;

		if (mr_lane_writer_is_stuck(writer, now_ms))
			snprintf(out->lane, sizeof(out->lane), "lane %d has been %s for %lld s", i,
					 mr_lane_state_name(writer->state),
					 (long long) mr_lane_writer_state_ms(writer, now_ms) / 1000);
	}
}

void
mr_pipeline_watch(MrPipeline *pl, int64_t now_ms)
{
	MrKafkaTrouble *kafka = &pl->consumer_counts.trouble;
	bool suspect = mr_kafka_trouble_wants_answer(kafka);

	if (pl->consumer == NULL || mr_consumer_is_fatal(pl->consumer) || pl->draining)
		return;
	/*
	 * While the brokers are in doubt they are asked for the topics that are read, which is enough. A topic that is missing is
	 * no reason: it may be gone, which the list says.
	 */
	if (pl->is_pattern && now_ms - pl->topics_asked_ms >= pl->setup.settings->topic_refresh_ms &&
		(!mr_kafka_trouble_doubts_brokers(kafka) || mr_topics_subscribed(&pl->topics) == 0))
	{
		pl->topics_asked_ms = now_ms;
		if (mr_topics_subscribed(&pl->topics) == 0)
			mr_kafka_trouble_asking(kafka);
		mr_pipeline_calls_topics(&pl->calls, mr_consumer_handle(pl->consumer));
	}
	if (mr_topics_subscribed(&pl->topics) == 0 ||
		now_ms - pl->topic_asked_ms < (suspect ? AGAIN_MS : SILENT_MS) ||
		(!suspect && now_ms - pl->consumer_counts.heard_ms < SILENT_MS))
		return;
	pl->topic_asked_ms = now_ms;
	mr_kafka_trouble_asking(kafka);
	mr_pipeline_calls_topic(&pl->calls, mr_consumer_handle(pl->consumer), !suspect);
}

void
mr_pipeline_watch_answer(MrPipeline *pl, const char *topic, bool ok, rd_kafka_resp_err_t err,
						 const char *error)
{
	MrKafkaTrouble *kafka = &pl->consumer_counts.trouble;
	bool was_shown = mr_kafka_trouble_shown(kafka) != NULL;
	MrPipelineTrouble trouble;
	MrLogLevel level;

	pl->topic_asked_ms = mr_now_ms();
	if (ok)
	{
		mr_kafka_trouble_answered(kafka);
		if (was_shown && mr_kafka_trouble_shown(kafka) == NULL)
			mr_log(MR_LOG_INFO, "the topic can be read again", MR_STR("pipeline", pl->name),
				   MR_STR("topic", pl->topic));
		return;
	}
	if (strchr(topic, ',') == NULL)
		snprintf(pl->lacking, sizeof(pl->lacking), "%s", topic);
	level = mr_kafka_trouble_unanswered(kafka, err, error);
	mr_pipeline_trouble(pl, mr_now_ms(), &trouble);
	mr_log(level, "the topic cannot be read", MR_STR("pipeline", pl->name),
		   MR_STR("topic", pl->topic), MR_STR("code", rd_kafka_err2name(err)),
		   MR_STR("error", error), MR_STR("hint", trouble.kafka_hint));
}
