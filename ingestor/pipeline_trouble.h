/*
 * What keeps a pipeline from working, found out here for /readyz and for the database (ingestor_presence.h): its topic
 * cannot be read, or a lane has waited for the server for long.
 */
#ifndef MR_INGESTOR_PIPELINE_TROUBLE_H
#define MR_INGESTOR_PIPELINE_TROUBLE_H

#include "ingestor/pipeline.h"

typedef struct MrPipelineTrouble
{
	char kafka[512]; /* why the topic cannot be read; "" = no reason known */
	char kafka_hint[768];
	char lane[256]; /* of the first lane that waits for so long; "" = none does */
} MrPipelineTrouble;

extern void mr_pipeline_trouble(const MrPipeline *pl, int64_t now_ms, MrPipelineTrouble *out);
/*
 * Asks the cluster for the topic when nothing was heard of it for some seconds, or an error may be over. Called a few times
 * a second.
 */
extern void mr_pipeline_watch(MrPipeline *pl, int64_t now_ms);
/* The answer, of pipeline_calls.h. */
extern void mr_pipeline_watch_answer(MrPipeline *pl, const char *topic, bool ok,
									 rd_kafka_resp_err_t err, const char *error);

#endif
