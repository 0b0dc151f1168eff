/*
 * worker_log.c: see worker_log.h. Runs in workers and supervisors.
 *
 * The lines about a pipeline come from its worker 0 alone, so that there is one of each; that of its end from the supervisor when
 * no process serves it then.
 */
#include "supervise/worker_log.h"

#include "miscadmin.h"

#include "server/shmem.h"
#include "server/xact.h"
#include "run/work_record.h"
#include "supervise/seat.h"

/* Called for each message that is written or raised; costs nothing otherwise. */
static void
add_context(void *arg)
{
	int32 partition;
	int64 offset;

	if (mr_seat == NULL)
		return;
	if (!mr_work->running)
		errcontext("millrace worker %d of pipeline \"%s\"", mr_seat->number, mr_seat->pipeline);
	else if (mr_work_place(&partition, &offset))
		errcontext("millrace worker %d of pipeline \"%s\", stage %s, partition %s, offset %lld",
				   mr_seat->number, mr_seat->pipeline, mr_stage_name(mr_work->stage),
				   mr_work_partition_text(partition), (long long) offset);
	else if (mr_work->nranges == 1)
		errcontext("millrace worker %d of pipeline \"%s\", stage %s, partition %s, offsets %lld to "
				   "%lld",
				   mr_seat->number, mr_seat->pipeline, mr_stage_name(mr_work->stage),
				   mr_work_partition_text(mr_work->ranges[0].partition),
				   (long long) mr_work->ranges[0].first, (long long) mr_work->ranges[0].last);
	else
		errcontext("millrace worker %d of pipeline \"%s\", stage %s, %d events of %d partitions",
				   mr_seat->number, mr_seat->pipeline, mr_stage_name(mr_work->stage),
				   mr_work->nevents, mr_work->nranges);
}

void
mr_worker_log_begin(void)
{
	static ErrorContextCallback callback = {.callback = add_context};

	callback.previous = error_context_stack;
	error_context_stack = &callback;
}

void
mr_worker_log_pipeline(const MrPipelineRow *row)
{
	int32 logged_version = mr_seat->logged_version;

	if (mr_seat->number != 0 || row->version == logged_version)
		return;
	if (logged_version == 0)
		ereport(LOG, (errmsg("millrace: pipeline \"%s\" started with version %d", row->name,
							 row->version),
					  errhidecontext(true)));
	else
		ereport(LOG, (errmsg("millrace: pipeline \"%s\" changed from version %d to version %d",
							 row->name, logged_version, row->version),
					  errhidecontext(true)));
	mr_seat->logged_version = row->version;
}

/* Why worker 0 is not wanted any more, which was one of this owner. */
static const char *
reason_to_end(int32 pipeline_id, Oid owner)
{
	const char *reason;
	MrPipelineRow row;

	if (mr_database_is_held(MyDatabaseId))
		return "stop_workers() was called";
	if (!mr_xact_begin("looking at the pipeline"))
		return "the extension was dropped, or is of another version";
	if (!mr_pipeline_row_by_id(pipeline_id, &row))
		reason = "it was dropped";
	else if (row.foreign)
		reason = "it belongs to another instance";
	else if (!row.running)
		reason = "it was paused";
	else if (row.owner != owner)
		reason = "it has a new owner";
	else
		reason = "it was changed";
	mr_xact_commit();
	return reason;
}

void
mr_worker_log_end(void)
{
	if (mr_seat->logged_version != 0)
		mr_worker_log_stop(mr_seat->pipeline_id, mr_seat->pipeline, GetUserId());
}

void
mr_worker_log_stop(int32 pipeline_id, const char *pipeline, Oid owner)
{
	ereport(LOG, (errmsg("millrace: pipeline \"%s\" stopped: %s", pipeline,
						 reason_to_end(pipeline_id, owner)),
				  errhidecontext(true)));
}

/* Figures of a batch. */
typedef struct Figures
{
	int written;
	int filtered;
	int failed; /* in this try: those that are tried again, and the dead */
	int dead;
	int64 bytes; /* of payload */
} Figures;

static Figures
count_figures(const MrBatch *batch)
{
	Figures figures = {0};

	for (int i = 0; i < batch->nevents; i++)
	{
		const MrEvent *event = &batch->events[i];

		figures.written += event->outcome.state == MR_WRITTEN;
		figures.filtered += event->outcome.state == MR_FILTERED;
		figures.dead += event->outcome.state == MR_DEAD;
		figures.failed += event->outcome.failure != NULL;
		figures.bytes += event->payload != NULL ? VARSIZE_ANY_EXHDR(event->payload) : 0;
	}
	return figures;
}

void
mr_worker_log_batch(const MrBatch *batch, bool again, int64 us)
{
	Figures figures;

	if (!message_level_is_interesting(DEBUG1))
		return;
	figures = count_figures(batch);
	ereport(DEBUG1, (errmsg_internal("millrace: worker %d of pipeline \"%s\" settled %d events%s: "
									 "%d written, %d filtered, %d failed, %d of them dead; %lld "
									 "bytes in %.1f ms",
									 mr_seat->number, mr_seat->pipeline, batch->nevents,
									 again ? " that had failed before" : "", figures.written,
									 figures.filtered, figures.failed, figures.dead,
									 (long long) figures.bytes, us / 1000.0),
					 errhidecontext(true)));
}
