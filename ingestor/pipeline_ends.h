/*
 * The ends of partitions in Kafka, for the views that show the lag. Of a partition that flows the last fetch has said it.
 * Any other is asked for, so that a stopped partition, one whose lane is blocked (a paused pipeline), and one that no
 * ingestor has been given by the group do not keep the end they had: Kafka goes on.
 *
 * The main thread only; part of its pipeline.
 */
#ifndef MR_INGESTOR_PIPELINE_ENDS_H
#define MR_INGESTOR_PIPELINE_ENDS_H

#include <stdbool.h>
#include <stdint.h>

struct MrPipeline;

typedef struct MrPipelineEnd
{
	int64_t
		age_ms; /* since any ingestor reported it, as of the last positions(); -1: none ever did */
	int64_t reported;   /* as its fetches showed it, the last time; -1: it is not read here */
	int64_t look_at_ms; /* do not ask again before */
	bool found;         /* the answer is not reported yet */
	int64_t low;        /* of the last answer, -1: none came so far */
	int64_t high;
} MrPipelineEnd;

typedef struct MrPipelineEnds
{
	MrPipelineEnd *items; /* by partition */
	int count;
	int asked; /* answers that will come */
} MrPipelineEnds;

/* A row of positions() says so. */
extern void mr_pipeline_end_aged(struct MrPipeline *pl, int32_t partition, int64_t age_ms);
/* Every poll-interval: reports the ends that are known by fetching, and asks for others that are due. */
extern void mr_pipeline_ends_report(struct MrPipeline *pl);
/* An answer; not ok: none came. */
extern void mr_pipeline_end_found(struct MrPipeline *pl, int32_t partition, bool ok, int64_t low,
								  int64_t high);
/* The broker has said so for another reason: reports it at once. */
extern void mr_pipeline_end_seen(struct MrPipeline *pl, int32_t partition, int64_t low,
								 int64_t high);
/* As the fetches of a partition that flows show it, as they did when it was last reported; else -1. */
extern int64_t mr_pipeline_end_fetched(const struct MrPipeline *pl, int32_t partition);
extern int64_t mr_pipeline_end_reported(const struct MrPipeline *pl, int32_t partition);
/* How old the report of any ingestor was at the last positions(), in ms; -1: none is known. */
extern int64_t mr_pipeline_end_age(const struct MrPipeline *pl, int32_t partition);
/* As far as it is known, else -1. */
extern int64_t mr_pipeline_end(const struct MrPipeline *pl, int32_t partition);
extern void mr_pipeline_ends_free(struct MrPipeline *pl);

#endif
