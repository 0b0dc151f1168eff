/*
 * A pipeline at rest: nothing comes, all that came is settled, and nobody else has moved a partition. positions() would say what it
 * said before, and the ends that follow it are reported already: so it is called less often. What others do shows in the
 * listing of pipelines, which is one query for all of them (MrServedRow.moves).
 *
 * The main thread only; part of its pipeline.
 */
#ifndef MR_INGESTOR_PIPELINE_REST_H
#define MR_INGESTOR_PIPELINE_REST_H

#include <stdbool.h>
#include <stdint.h>

struct MrPipeline;

typedef struct MrPipelineRest
{
	int64_t asked_ms; /* when positions() was last called */
	uint64_t losses;  /* of the control connection, at that time */
	int64_t moves;    /* of the listing's last row */
} MrPipelineRest;

/* positions() is called now. */
extern void mr_pipeline_rest_asked(struct MrPipeline *pl, int64_t now_ms);
/* The listing's digest of epochs and states. True: it has changed, positions() has news. */
extern bool mr_pipeline_rest_listed(struct MrPipeline *pl, int64_t moves);
/* Whether this poll may pass without positions(). */
extern bool mr_pipeline_is_at_rest(const struct MrPipeline *pl, int64_t now_ms);

#endif
