/* /metrics and /readyz: walks the pipelines and prints what they counted. */
#include "ingestor/ingestor_metrics.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/eventloop.h"
#include "common/metrics.h"
#include "common/version.h"
#include "ingestor/ingestor.h"
#include "ingestor/pipeline_step.h"
#include "ingestor/pipeline_trouble.h"

typedef double (*PipelineValue)(const MrPipeline *pl);

static bool not_ready(MrBuffer *out, const char *why, const char *hint, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static void per_pipeline(const MrIngestor *ingestor, MrBuffer *out, const char *name,
						 const char *type, const char *help, PipelineValue value);
static void per_partition(const MrIngestor *ingestor, MrBuffer *out);
static void partition_states(const MrIngestor *ingestor, MrBuffer *out);
static void stage_times(const MrIngestor *ingestor, MrBuffer *out);
static void lane_states(const MrIngestor *ingestor, MrBuffer *out);
static bool lanes_ready(const MrPipeline *pl, MrBuffer *out);
static double events(const MrPipeline *pl);
static double bytes(const MrPipeline *pl);
static double batches(const MrPipeline *pl);
static double losses(const MrPipeline *pl);
static double blocked_seconds(const MrPipeline *pl);
static double blocked_lanes(const MrPipeline *pl);
static double open_lanes(const MrPipeline *pl);
static double oversize(const MrPipeline *pl);
static double fenced(const MrPipeline *pl);
static double rebalances(const MrPipeline *pl);
static double kafka_errors(const MrPipeline *pl);
static double queued(const MrPipeline *pl);
static double queued_bytes(const MrPipeline *pl);

static const struct
{
	const char *name;
	const char *type;
	const char *help;
	PipelineValue value;
} pipeline_metrics[] = {
	{"millrace_ingestor_events_total", "counter", "Events staged.", events},
	{"millrace_ingestor_staged_bytes_total", "counter", "Bytes sent by COPY.", bytes},
	{"millrace_ingestor_batches_total", "counter", "Batches staged.", batches},
	{"millrace_ingestor_lane_losses_total", "counter", "Lanes lost, and opened again.", losses},
	{"millrace_ingestor_blocked_seconds_total", "counter",
	 "Time during which a full batch could not be sent, all lanes together.", blocked_seconds},
	{"millrace_ingestor_blocked_lanes", "gauge",
	 "Lanes whose open batch is full and cannot be sent yet.", blocked_lanes},
	{"millrace_ingestor_open_lanes", "gauge", "Lanes bound to the server.", open_lanes},
	{"millrace_ingestor_oversize_total", "counter",
	 "Messages too large, staged without their payload.", oversize},
	{"millrace_ingestor_fenced_total", "counter",
	 "Partitions that were assigned elsewhere or moved by a verb.", fenced},
	{"millrace_ingestor_rebalances_total", "counter", "Partitions granted or revoked by the group.",
	 rebalances},
	{"millrace_ingestor_kafka_errors_total", "counter", "Errors reported by the Kafka client.",
	 kafka_errors},
	{"millrace_ingestor_queued_messages", "gauge", "Messages fetched and not yet put into a batch.",
	 queued},
	{"millrace_ingestor_queued_bytes", "gauge",
	 "Memory that they take; of all pipelines together it is limited by --fetch-buffer.",
	 queued_bytes},
};

void
mr_ingestor_metrics(void *owner, MrBuffer *out)
{
	const MrIngestor *ingestor = owner;

	mr_metrics_family(out, "millrace_ingestor_info", "gauge", "Versions, as labels.");
	mr_metrics_value(out, "millrace_ingestor_info", 1, "version", MR_VERSION, "librdkafka",
					 rd_kafka_version_str(), NULL);
	mr_metrics_family(out, "millrace_ingestor_connected", "gauge",
					  "Whether the control connection to PostgreSQL is open.");
	mr_metrics_value(out, "millrace_ingestor_connected", mr_control_is_open(ingestor->control),
					 NULL);
	for (size_t i = 0; i < sizeof(pipeline_metrics) / sizeof(pipeline_metrics[0]); i++)
		per_pipeline(ingestor, out, pipeline_metrics[i].name, pipeline_metrics[i].type,
					 pipeline_metrics[i].help, pipeline_metrics[i].value);
	partition_states(ingestor, out);
	per_partition(ingestor, out);
	stage_times(ingestor, out);
	lane_states(ingestor, out);
	mr_relay_set_metrics(ingestor->relays, out);
	mr_metrics_process(out);
}

/* Ready: the server is reached, the groups are joined, and what we own is open. */
bool
mr_ingestor_ready(void *owner, MrBuffer *out)
{
	const MrIngestor *ingestor = owner;
	int64_t now = mr_now_ms();
	MrPipelineTrouble trouble;
	bool ready = true;

	if (!mr_control_is_open(ingestor->control) || !ingestor->listed)
		ready = not_ready(out, mr_control_trouble(ingestor->control), "", "%s",
						  mr_control_is_open(ingestor->control) ? "the pipelines are not known yet"
																: "no connection to PostgreSQL");
	if (ingestor->phase != MR_PHASE_RUNNING)
		ready = not_ready(out, "", "", "draining");
	for (int i = 0; i < ingestor->pipeline_count; i++)
	{
		const MrPipeline *pl = ingestor->pipelines[i];

		mr_pipeline_trouble(pl, now, &trouble);
		if (trouble.kafka[0] != '\0')
			ready = not_ready(out, trouble.kafka, trouble.kafka_hint,
							  "pipeline %s: cannot read topic \"%s\"", pl->name, pl->topic);
		else if (pl->consumer == NULL ||
				 (!mr_consumer_has_joined(pl->consumer) && mr_topics_subscribed(&pl->topics) > 0))
			ready = not_ready(out, "", "", "pipeline %s: not in its consumer group yet", pl->name);
		if (trouble.lane[0] != '\0')
			ready = not_ready(out, "", "", "pipeline %s: %s", pl->name, trouble.lane);
		ready = lanes_ready(pl, out) && ready;
	}
	return ready;
}

/* Those of our partitions are open. */
static bool
lanes_ready(const MrPipeline *pl, MrBuffer *out)
{
	bool ready = true;

	for (int i = 0; i < pl->partition_cap; i++)
		if (pl->partitions[i] != NULL && pl->partitions[i]->state != MR_PARTITION_REVOKED &&
			!mr_lane_is_open(mr_pipeline_lane_of(pl, pl->partitions[i])))
			ready = not_ready(out, mr_pipeline_lane_of(pl, pl->partitions[i])->trouble.text, "",
							  "pipeline %s: the lane of partition %d is not open", pl->name, i);
	return ready;
}

/* A line: what is not ready, why, and what to do ("": not known). Returns false. */
static bool
not_ready(MrBuffer *out, const char *why, const char *hint, const char *format, ...)
{
	char what[512];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	mr_buffer_printf(out, "%s%s%s%s%s\n", what, *why ? ": " : "", why, *hint ? "; hint: " : "",
					 hint);
	return false;
}

static void
per_pipeline(const MrIngestor *ingestor, MrBuffer *out, const char *name, const char *type,
			 const char *help, PipelineValue value)
{
	mr_metrics_family(out, name, type, help);
	for (int i = 0; i < ingestor->pipeline_count; i++)
		mr_metrics_value(out, name, value(ingestor->pipelines[i]), "pipeline",
						 ingestor->pipelines[i]->name, NULL);
}

static void
partition_states(const MrIngestor *ingestor, MrBuffer *out)
{
	const char *name = "millrace_ingestor_partitions";

	mr_metrics_family(out, name, "gauge", "Partitions by state of their assignment to us.");
	for (int i = 0; i < ingestor->pipeline_count; i++)
	{
		const MrPipeline *pl = ingestor->pipelines[i];
		int counts[MR_PARTITION_STATES] = {0};

		for (int j = 0; j < pl->partition_cap; j++)
			if (pl->partitions[j] != NULL)
				counts[pl->partitions[j]->state]++;
		for (int s = MR_PARTITION_WAITING; s < MR_PARTITION_STATES; s++)
			mr_metrics_value(out, name, counts[s], "pipeline", pl->name, "state",
							 mr_partition_state_name((MrFetchState) s), NULL);
	}
}

static void
per_partition(const MrIngestor *ingestor, MrBuffer *out)
{
	static const char *const names[] = {"millrace_ingestor_staged_offset",
										"millrace_ingestor_settled_offset",
										"millrace_ingestor_end_offset"};
	static const char *const helps[] = {"Next offset to be staged.", "Next offset to be processed.",
										"End of the partition as last seen."};

	for (int k = 0; k < 3; k++)
	{
		mr_metrics_family(out, names[k], "gauge", helps[k]);
		for (int i = 0; i < ingestor->pipeline_count; i++)
		{
			const MrPipeline *pl = ingestor->pipelines[i];

			for (int j = 0; j < pl->partition_cap; j++)
			{
				const MrFetchPartition *part = pl->partitions[j];
				char number[16];
				int64_t value;

				if (part == NULL || !mr_partition_is_assigned(part))
					continue;
				snprintf(number, sizeof(number), "%d", mr_topics_partition_of(&pl->topics, j));
				value = k == 0 ? part->staged : k == 1 ? part->settled : mr_pipeline_end(pl, j);
				if (k < 2 || value >= 0)
					mr_metrics_value(out, names[k], (double) value, "pipeline", pl->name, "topic",
									 mr_topics_name_of(&pl->topics, j), "partition", number, NULL);
			}
		}
	}
}

static void
stage_times(const MrIngestor *ingestor, MrBuffer *out)
{
	const char *name = "millrace_ingestor_stage_seconds";

	mr_metrics_family(out, name, "histogram", "Time from closing a batch to its commit.");
	for (int i = 0; i < ingestor->pipeline_count; i++)
	{
		const MrPipeline *pl = ingestor->pipelines[i];
		MrHistogram sum = {0};

		for (int j = 0; j < pl->lane_count; j++)
		{
			const MrHistogram *times = &pl->lanes[j].stage->counts.stage_time;

			for (int b = 0; b < MR_HISTOGRAM_BUCKETS; b++)
				sum.buckets[b] += times->buckets[b];
			sum.count += times->count;
			sum.sum += times->sum;
		}
		mr_metrics_histogram(out, name, &sum, "pipeline", pl->name);
	}
}

static void
lane_states(const MrIngestor *ingestor, MrBuffer *out)
{
	const char *name = "millrace_ingestor_lane_state_seconds";
	int64_t now = mr_now_ms();

	mr_metrics_family(out, name, "gauge", "How long a lane has been in its present state.");
	for (int i = 0; i < ingestor->pipeline_count; i++)
	{
		const MrPipeline *pl = ingestor->pipelines[i];

		for (int j = 0; j < pl->lane_count; j++)
		{
			const MrLaneWriter *writer = &pl->lanes[j].stage->writer;
			char number[16];

			snprintf(number, sizeof(number), "%d", j);
			mr_metrics_value(out, name, (double) mr_lane_writer_state_ms(writer, now) / 1000,
							 "pipeline", pl->name, "lane", number, "state",
							 mr_lane_state_name(writer->state), NULL);
		}
	}
}

#define SUM_OVER_LANES(function, expression)                                                       \
	static double function(const MrPipeline *pl)                                                   \
	{                                                                                              \
		double sum = 0;                                                                            \
                                                                                                   \
		for (int i = 0; i < pl->lane_count; i++)                                                   \
		{                                                                                          \
			const MrStageLane *lane = pl->lanes[i].stage;                                          \
                                                                                                   \
			sum += (double) (expression);                                                          \
		}                                                                                          \
		return sum;                                                                                \
	}

SUM_OVER_LANES(events, lane->counts.events)
SUM_OVER_LANES(bytes, lane->counts.bytes)
SUM_OVER_LANES(batches, lane->counts.batches)
SUM_OVER_LANES(losses, lane->counts.losses)
SUM_OVER_LANES(blocked_lanes, lane->blocked)
SUM_OVER_LANES(open_lanes, mr_lane_is_open(lane))
SUM_OVER_LANES(blocked_seconds, mr_lane_blocked_seconds(lane, mr_now_ms()))

static double
oversize(const MrPipeline *pl)
{
	return (double) pl->oversize;
}

static double
fenced(const MrPipeline *pl)
{
	return (double) pl->fenced;
}

static double
rebalances(const MrPipeline *pl)
{
	return (double) pl->consumer_counts.rebalances;
}

static double
kafka_errors(const MrPipeline *pl)
{
	return (double) pl->consumer_counts.errors;
}

static double
queued(const MrPipeline *pl)
{
	return pl->consumer ? (double) mr_consumer_queued(pl->consumer) : 0;
}

static double
queued_bytes(const MrPipeline *pl)
{
	return pl->consumer ? (double) mr_consumer_queued_bytes(pl->consumer) : 0;
}
