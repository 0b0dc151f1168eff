/*
 * What a pipeline asks the catalogue (over the control connection) and the broker (by the resolver), and what it
 * reports. Answers come by callbacks, never from inside the function that asks, unless the control connection breaks
 * at that moment. The main thread only; part of its pipeline, which may be freed when `jobs` is 0.
 */
#ifndef MR_INGESTOR_PIPELINE_CALLS_H
#define MR_INGESTOR_PIPELINE_CALLS_H

#include "common/trouble.h"
#include "ingestor/control/catalogue.h"
#include "ingestor/control/report.h"
#include "ingestor/fetch/resolver.h"
#include "ingestor/fetch/topics.h"

typedef struct MrPipelineAnswers
{
	/* Whether the topics are there; err and error: why `name` is not. */
	void (*topic)(void *owner, const char *name, bool ok, rd_kafka_resp_err_t err,
				  const char *error);
	/* A partition of several topics has a number; then all of them were reported. */
	void (*number)(void *owner, const MrNumberRow *row);
	void (*numbers_ended)(void *owner);
	/* So many partitions have a row in the catalogue now. */
	void (*known)(void *owner, int partitions);
	/* Answers to a question, by its number; not ok: none came. */
	void (*watermarks)(void *owner, int32_t partition, uint32_t question, bool ok, int64_t low,
					   int64_t high);
	/* The offset of a time, as the broker says; and the position that the catalogue has made of it. */
	void (*located)(void *owner, int32_t partition, uint32_t question, bool ok, int64_t offset);
	void (*position_set)(void *owner, int32_t partition, uint32_t question, bool ok,
						 int64_t offset);
	/* First and end offset of a partition, whatever is made of it; not ok: no answer came. */
	void (*looked)(void *owner, int32_t partition, bool ok, int64_t low, int64_t high);
	/* A row of positions(), as of the call with this number; then all of them were reported. */
	void (*position)(void *owner, uint64_t call, const MrPositionRow *row);
	void (*positions_ended)(void *owner);
} MrPipelineAnswers;

typedef struct MrPipelineCalls
{
	const char *pipeline; /* texts are the owner's */
	MrTopics *topics;
	MrControl *control;
	MrResolver *resolver;
	const MrPipelineAnswers *answers;
	void *owner;
	MrReport report;
	int jobs;                /* answers that will come */
	int questions;           /* those of them that use a consumer's handle */
	uint64_t positions_call; /* number of the last call of positions() */
	bool positions_pending;  /* it is queued or under way */
	bool positions_again;    /* asked for while it was */
	bool topic_pending;
	bool topics_pending;
	bool numbers_pending;
	bool numbers_again;
	uint32_t topics_reported; /* CRC-32 of the names that were reported last */
	int64_t topics_reported_ms;
	int retention_turn; /* which topic is asked for its retention next */
	bool starts_pending;
	MrTrouble starts; /* why the start of the topic could not be asked for */
	bool draining;    /* no partition is added, nothing is reported */
	bool ended;       /* nothing is asked any more */
} MrPipelineCalls;

/* Which topics are there? They are reported, when they are others than before. One question at a time. */
extern void mr_pipeline_calls_topics(MrPipelineCalls *calls, rd_kafka_t *rk);
/* Of several topics: which partitions have a number, from `first` on? Again when the present call ends, if there is one. */
extern void mr_pipeline_calls_numbers(MrPipelineCalls *calls, int first);
/* Is the topic there, or are all of them, and may we read it? One question at a time; is_first: nothing is wrong so far. */
extern void mr_pipeline_calls_topic(MrPipelineCalls *calls, rd_kafka_t *rk, bool is_first);
/*
 * Where do partitions of a topic from `known` on begin? Asks the broker (through rk), adds them to the catalogue, answers `known`.
 * start_at is the pipeline's. Several ingestors may ask; the first one counts.
 */
extern void mr_pipeline_calls_starts(MrPipelineCalls *calls, rd_kafka_t *rk, const char *topic,
									 int known, const char *start_at);
extern void mr_pipeline_calls_watermarks(MrPipelineCalls *calls, rd_kafka_t *rk, int32_t partition,
										 uint32_t question);
/* The same without a question of the partition itself: `looked`. */
extern void mr_pipeline_calls_look(MrPipelineCalls *calls, rd_kafka_t *rk, int32_t partition);
/* time: ms since 1970. */
extern void mr_pipeline_calls_locate(MrPipelineCalls *calls, rd_kafka_t *rk, int32_t partition,
									 uint32_t question, int64_t time);
extern void mr_pipeline_calls_set_position(MrPipelineCalls *calls, int32_t partition, int64_t epoch,
										   uint32_t question, int64_t offset);
extern void mr_pipeline_calls_stop(MrPipelineCalls *calls, int32_t partition, int64_t epoch,
								   const char *error, const char *hint);
/* Again when the present call ends, if there is one. */
extern void mr_pipeline_calls_positions(MrPipelineCalls *calls);
/* The ends of partitions; lows: their first offsets, -1 not known. reads: they are assigned to us. */
extern void mr_pipeline_calls_report_ends(MrPipelineCalls *calls, const int64_t *partitions,
										  const int64_t *highs, const int64_t *lows, int count,
										  bool reads);
/* Asks for the topic's retention (rk NULL: not now) and reports, both when it is due. */
extern void mr_pipeline_calls_report(MrPipelineCalls *calls, rd_kafka_t *rk);

#endif
