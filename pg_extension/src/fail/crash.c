/*
 * crash.c: see crash.h. Runs in workers.
 *
 * A suspicion is about Kafka coordinates, not about a worker: after a restart any worker may serve a partition.
 * Workers only read the table, so nothing of it has to be kept in step with commits. A row is void by itself
 * once the position has passed its range, or, for events that are tried again, once they were tried after the crash:
 * they are due later then than when the batch began. Those parked behind one of their key are due at no time of
 * their own and stay suspicious until they come first.
 *
 * Batches shrink by SHRINK, not by halves: a crash restarts the whole server, and a small batch costs a commit. A
 * batch of 5,000 events is narrowed down to one in three crashes instead of thirteen; in one, when the record names
 * the event that was at work.
 */
#include "fail/crash.h"

#include "access/htup_details.h"
#include "access/genam.h"
#include "access/table.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "server/catalog.h"
#include "server/errcode.h"
#include "server/failure.h"
#include "server/guc.h"
#include "server/shmem.h"

#define SHRINK 64 /* the next batch has at most this fraction of the one that crashed */

typedef struct Suspicion
{
	int32 partition;
	int64 first_offset;
	int64 last_offset;
	int64 suspect_offset; /* the event that was at work, MR_WORK_UNKNOWN */
	int events;           /* in the batch */
	int crashes;          /* with the event alone */
	MrStage stage;
	TimestampTz began_at;
	TimestampTz crashed_at;
} Suspicion;

struct MrSuspicions
{
	int32 pipeline_id;
	MrWorkKind kind;
	bool batch_is_suspicious; /* the one that is being made */
	int limit;                /* of it */
	int n;
	int max;
	Suspicion *list;
};

static MrStage
stage_of(const char *name)
{
	for (MrStage stage = MR_STAGE_DECODE; stage < MR_STAGES; stage++)
		if (strcmp(name, mr_stage_name(stage)) == 0)
			return stage;
	return MR_STAGE_WRITE;
}

static void
add(MrSuspicions *suspicions, HeapTuple tuple, TupleDesc desc)
{
	Suspicion *row;

	if (suspicions->n == suspicions->max)
	{
		suspicions->max *= 2;
		suspicions->list = repalloc(suspicions->list, suspicions->max * sizeof(Suspicion));
	}
	row = &suspicions->list[suspicions->n++];
	row->partition = mr_catalog_int4(tuple, MR_CRASH_PARTITION, desc);
	row->first_offset = mr_catalog_int8(tuple, MR_CRASH_FIRST_OFFSET, desc, 0);
	row->last_offset = mr_catalog_int8(tuple, MR_CRASH_LAST_OFFSET, desc, 0);
	row->suspect_offset = mr_catalog_int8(tuple, MR_CRASH_SUSPECT_OFFSET, desc, MR_WORK_UNKNOWN);
	row->events = mr_catalog_int4(tuple, MR_CRASH_EVENTS, desc);
	row->crashes = mr_catalog_int4(tuple, MR_CRASH_CRASHES, desc);
	row->stage = stage_of(mr_catalog_text(tuple, MR_CRASH_STAGE, desc));
	row->began_at = mr_catalog_int8(tuple, MR_CRASH_BEGAN_AT, desc, 0);
	row->crashed_at = mr_catalog_int8(tuple, MR_CRASH_CRASHED_AT, desc, 0);
}

/* Returns whether the pipeline has any row, be it of the other kind. */
static bool
read_table(MrSuspicions *suspicions, int32 pipeline_id)
{
	Relation rel = mr_catalog_open("crash_suspect", AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	const char *kind = mr_work_kind_name(suspicions->kind);
	bool any = false;
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (mr_catalog_int4(tuple, MR_CRASH_PIPELINE_ID, desc) != pipeline_id)
			continue;
		any = true;
		if (strcmp(mr_catalog_text(tuple, MR_CRASH_KIND, desc), kind) == 0)
			add(suspicions, tuple, desc);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return any;
}

MrSuspicions *
mr_crash_suspicions(MrCrashWatch *watch, int32 pipeline_id, MrWorkKind kind)
{
	uint32 crashes = pg_atomic_read_u32(&mr_shared->crashes);
	MrSuspicions *suspicions;

	if (watch->none && crashes == watch->crashes)
		return NULL;
	suspicions = palloc0(sizeof(MrSuspicions));
	suspicions->pipeline_id = pipeline_id;
	suspicions->kind = kind;
	suspicions->max = 16;
	suspicions->list = palloc(suspicions->max * sizeof(Suspicion));
	watch->none = false; /* should the read fail */
	watch->crashes = crashes;
	watch->none = !read_table(suspicions, pipeline_id);
	return suspicions->n > 0 ? suspicions : NULL;
}

static bool
is_of(const MrSuspicions *suspicions, const Suspicion *row, const MrEvent *event)
{
	return row->partition == event->partition && event->offset >= row->first_offset &&
		   event->offset <= row->last_offset &&
		   (suspicions->kind == MR_WORK_LANE || event->retry->next_at <= row->began_at ||
			TIMESTAMP_IS_NOEND(event->retry->next_at));
}

/* How many events a batch with this one may have; INT_MAX: it is not suspicious. */
static int
limit_of(const MrSuspicions *suspicions, const MrEvent *event)
{
	int limit = INT_MAX;

	for (int i = 0; i < suspicions->n; i++)
	{
		const Suspicion *row = &suspicions->list[i];

		if (is_of(suspicions, row, event))
			limit =
				Min(limit, row->suspect_offset == event->offset ? 1 : Max(row->events / SHRINK, 1));
	}
	return limit;
}

bool
mr_crash_admits(MrSuspicions *suspicions, const MrEvent *event, int taken)
{
	int limit;

	if (likely(suspicions == NULL))
		return true;
	limit = limit_of(suspicions, event);
	if (taken == 0)
	{
		suspicions->batch_is_suspicious = limit < INT_MAX;
		suspicions->limit = limit;
	}
	/* Those that were not there when it crashed stay out of what may crash again. */
	if (suspicions->batch_is_suspicious != (limit < INT_MAX))
		return false;
	suspicions->limit = Min(suspicions->limit, limit);
	return taken < suspicions->limit;
}

void
mr_crash_cut(MrSuspicions *suspicions, MrBatch *batch)
{
	for (int i = 0; i < batch->nevents; i++)
		if (!mr_crash_admits(suspicions, &batch->events[i], i))
			batch->nevents = i; /* never 0 */
}

static MrFailure *
make_failure(const Suspicion *row)
{
	MrFailure *failure =
		mr_failure_make(row->stage, MR_ERRCODE_CRASHED,
						"the server process crashed %d time%s while it processed this event alone",
						row->crashes, row->crashes == 1 ? "" : "s");

	failure->detail = psprintf("The last time was at %s.", timestamptz_to_str(row->crashed_at));
	failure->hint =
		"The server log of that time has the signal. Fix the function that crashes on this "
		"event, then replay it; millrace.max_crashes limits how often it may crash.";
	return failure;
}

/*
 * A document has the coordinate of its message, and so is suspicious with it: whether it was another one that has crashed, and
 * has become a dead letter for it since.
 */
static bool
was_another(int32 pipeline_id, const Suspicion *row, const MrEvent *event)
{
	Relation rel = mr_catalog_open("dead_letter", AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);
	bool found = false;
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple tuple;

	mr_key_int4(&keys[0], MR_DEAD_LETTER_PIPELINE_ID, pipeline_id);
	mr_key_int4(&keys[1], MR_DEAD_LETTER_PARTITION, event->partition);
	ScanKeyInit(&keys[2], MR_DEAD_LETTER_OFFSET, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(event->offset));
	scan = systable_beginscan(rel, mr_catalog_oid("dead_letter_coordinate_idx"), true, NULL,
							  lengthof(keys), keys);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = strcmp(mr_catalog_text(tuple, MR_DEAD_LETTER_ENDED, desc), "crashed") == 0 &&
				mr_catalog_int8(tuple, MR_DEAD_LETTER_FAILED_AT, desc, 0) >= row->crashed_at;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

bool
mr_crash_condemns(MrSuspicions *suspicions, MrBatch *batch)
{
	MrEvent *event = batch->events;
	const Suspicion *row = NULL;

	if (likely(suspicions == NULL) || batch->nevents != 1 || event->outcome.state != MR_PENDING)
		return false;
	for (int i = 0; i < suspicions->n && row == NULL; i++)
		if (suspicions->list[i].crashes >= mr_max_crashes &&
			is_of(suspicions, &suspicions->list[i], event))
			row = &suspicions->list[i];
	if (row == NULL || (event->document > 0 && was_another(suspicions->pipeline_id, row, event)))
		return false;
	event->crashes = row->crashes;
	mr_outcome_fail(&event->outcome, make_failure(row));
	mr_outcome_bury(&event->outcome, MR_END_CRASHED);
	return true;
}
