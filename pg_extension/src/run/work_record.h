/*
 * work_record.h: what a worker is running, in a small mapped file, so that it is known after a crash of its process.
 *
 * One file per worker process in PG_STAT_TMP_DIR (left out of base backups), made when the process has connected and removed
 * when it ends in order. It is written with plain stores: the page cache keeps them when the process is killed. Only a
 * power loss may leave an old or a torn state, which is no worse than a false suspicion. The supervisor reads
 * what crashes have left (crash_collect.c).
 */
#ifndef MR_WORK_RECORD_H
#define MR_WORK_RECORD_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "pipeline/pipeline.h"
#include "program/batch.h"

#define MR_WORK_DIRECTORY   PG_STAT_TMP_DIR
#define MR_WORK_FILE_FORMAT "millrace_%u_%u_%d.work" /* database, ticket of the process, its pid */
#define MR_WORK_MAGIC       0x4d524e31               /* "MRN1" */
#define MR_WORK_UNKNOWN     (-1)                     /* in the place of an offset */

typedef enum MrWorkKind
{
	MR_WORK_LANE, /* events as they came, in the order of their partitions */
	MR_WORK_RETRY /* rows of millrace.retry */
} MrWorkKind;

/* As millrace.crash_suspect.kind has it. */
static inline const char *
mr_work_kind_name(MrWorkKind kind)
{
	return kind == MR_WORK_LANE ? "lane" : "retry";
}

/* From the first to the last event of a partition that the batch has. */
typedef struct MrWorkRange
{
	int32 partition;
	int64 first;
	int64 last;
} MrWorkRange;

typedef struct MrWorkRecord
{
	uint32 magic;
	uint32 size;   /* of this struct: another build's file is not read */
	bool running;  /* a batch is at work */
	bool innocent; /* it was ended because another process crashed, or by trouble of the server */
	bool fatal;    /* it ended by an error that may be its event's fault */
	int8 kind;     /* MrWorkKind */
	int8 stage;    /* MrStage */
	int32 pipeline_id;
	int32 version;
	int32 worker;
	int32 nevents;
	int64 number;         /* of the batch, another one for each: none is counted twice */
	TimestampTz began_at; /* all of a retry batch was due then */
	int32 at_partition;   /* the event at work */
	int64 at_offset;      /* MR_WORK_UNKNOWN: which one is not known */
	int32 max_ranges;
	int32 nranges;
	MrWorkRange ranges[FLEXIBLE_ARRAY_MEMBER];
} MrWorkRecord;

/* Never NULL: in processes that keep no record it is one that nobody reads. */
extern MrWorkRecord *mr_work;

/*
 * Makes the record of this process (`ticket`: another one for each) and takes over SIGQUIT and the signals of a crash. Without the file (disk full) the
 * worker works, but what it does when it crashes is not known.
 */
extern void mr_work_open(uint32 ticket);

/* The worker that runs the next batches. */
extern void mr_work_serve(int32 pipeline_id, int32 worker);

/* The batch's events are admitted; user code runs from here on, until mr_work_end() behind commit or abort. */
extern void mr_work_begin(MrWorkKind kind, const MrBatch *batch, const MrDefinition *definition);
extern void mr_work_end(void);

/* The event at work, if that is known at this moment; for messages while a batch runs. */
extern bool mr_work_place(int32 *partition, int64 *offset);
/* Of the batch at work, for messages; reads no tables. */
extern const char *mr_work_partition_text(int32 partition);

static inline void
mr_work_stage(MrStage stage)
{
	mr_work->at_offset = MR_WORK_UNKNOWN;
	mr_work->stage = stage;
}

/* The event at work; of a plan that runs, the handler of the crash finds it out (plan.h). */
static inline void
mr_work_at(const MrEvent *event)
{
	mr_work->at_partition = event->partition;
	mr_work->at_offset = event->offset;
}

#endif /* MR_WORK_RECORD_H */
