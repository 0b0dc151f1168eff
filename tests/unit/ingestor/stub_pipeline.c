/* Stands in for ingestor/pipeline.c. */
#include "stub_pipeline.h"

#include <stdio.h>

Stub stub;

void
stub_reset(void)
{
	stub = (Stub){.known = STUB_PARTITIONS, .batch_rows = 3};
	for (int i = 0; i < STUB_PARTITIONS; i++)
	{
		stub.parts[i] = (MrPartition){.pipeline = &stub.pl,
									  .number = i,
									  .entry = -1,
									  .committed = -1,
									  .backoff = {.min_ms = 200, .max_ms = 2000}};
		stub.fetch_from[i] = -1;
	}
}

const char *
mr_pipeline_name(const MrPipeline *pl)
{
	(void) pl;
	return "stub";
}

int
mr_pipeline_known(const MrPipeline *pl)
{
	(void) pl;
	return stub.known;
}

uint64_t
mr_pipeline_tick(const MrPipeline *pl)
{
	(void) pl;
	return stub.tick;
}

MrPartition *
mr_pipeline_partition(const MrPipeline *pl, int32_t number)
{
	(void) pl;
	return number >= 0 && number < STUB_PARTITIONS ? &stub.parts[number] : NULL;
}

MrPartition *
mr_pipeline_next_of(const MrPipeline *pl, const MrLane *lane, const MrPartition *part)
{
	(void) lane;
	return mr_pipeline_partition(pl, part ? part->number + 1 : 0);
}

void
mr_pipeline_fetch(MrPipeline *pl, MrPartition *part, bool fetch, int64_t from)
{
	(void) pl;
	stub.fetch[part->number] = fetch;
	stub.fetch_from[part->number] = fetch ? from : -1;
}

void
mr_pipeline_want_assign(MrPipeline *pl, MrPartition *part)
{
	(void) pl;
	(void) part;
	stub.wants++;
}

bool
mr_pipeline_is_held(const MrPipeline *pl, const MrPartition *part)
{
	(void) pl;
	(void) part;
	return stub.held;
}

void
mr_pipeline_move(MrPipeline *pl, MrPartition *part, int64_t next)
{
	(void) pl;
	part->position = next;
	stub.moved_to = next;
}

void
mr_pipeline_locate(MrPipeline *pl, MrPartition *part, int64_t ts)
{
	(void) pl;
	(void) part;
	stub.located = ts;
}

void
mr_pipeline_ask_watermarks(MrPipeline *pl, MrPartition *part)
{
	(void) pl;
	(void) part;
	stub.watermarks_asked++;
}

void
mr_pipeline_stop_partition(MrPipeline *pl, MrPartition *part, const char *error, const char *hint)
{
	(void) pl;
	(void) part;
	snprintf(stub.stopped, sizeof(stub.stopped), "%s", error);
	snprintf(stub.stop_hint, sizeof(stub.stop_hint), "%s", hint);
}

void
mr_pipeline_count_fenced(MrPipeline *pl)
{
	(void) pl;
	stub.fenced++;
}

void
mr_pipeline_ask_positions(MrPipeline *pl)
{
	(void) pl;
	stub.asked_positions++;
}

void
mr_pipeline_refresh(MrPipeline *pl)
{
	(void) pl;
	stub.refreshed++;
}

bool
mr_pipeline_is_taking(const MrPipeline *pl)
{
	(void) pl;
	return stub.taking;
}

bool
mr_pipeline_batch_is_full(const MrPipeline *pl, const MrBatch *batch)
{
	(void) pl;
	return batch->rows >= stub.batch_rows;
}

void
mr_pipeline_staged(MrPipeline *pl, int32_t partition, int64_t epoch, int64_t next)
{
	(void) pl;
	(void) epoch;
	stub.staged[partition] = next;
}

void
mr_pipeline_blocked(MrPipeline *pl)
{
	(void) pl;
	stub.blocked++;
}

void
mr_pipeline_wake(MrPipeline *pl)
{
	(void) pl;
	stub.woken++;
}
