/*
 * worker_log.h: what a worker writes to the server log: who it is and where, beside each of its messages; a line when its
 * pipeline changes state; at DEBUG1 one for each batch.
 */
#ifndef MR_WORKER_LOG_H
#define MR_WORKER_LOG_H

#include "pipeline/pipeline.h"
#include "program/batch.h"

/* From now on each message has a CONTEXT line that names worker, pipeline, stage and event. Once, when the worker begins. */
extern void mr_worker_log_begin(void);

/* The pipeline as it was just read: worker 0 reports its start, and a new version. */
extern void mr_worker_log_pipeline(const MrPipelineRow *row);

/* The worker ends because it is not wanted; worker 0 reports why. No transaction is open. */
extern void mr_worker_log_end(void);

/* The same of a worker 0 that no process serves: of which pipeline, and whose it was. No transaction is open. */
extern void mr_worker_log_stop(int32 pipeline_id, const char *pipeline, Oid owner);

/* A batch was settled, after us µs; `again`: it was one of events that had failed. */
extern void mr_worker_log_batch(const MrBatch *batch, bool again, int64 us);

#endif /* MR_WORKER_LOG_H */
