/*
 * Stands in for ingestor/pipeline.c: keeps partitions and lane for the code under test and counts
 * what it asks for.
 */
#ifndef MR_TEST_STUB_PIPELINE_H
#define MR_TEST_STUB_PIPELINE_H

#include "ingestor/pipeline.h"

#define STUB_PARTITIONS 4

typedef struct Stub
{
	MrPipeline pl;
	MrPartition parts[STUB_PARTITIONS];
	MrLane *lane;
	int known;
	uint64_t tick;
	bool held;
	bool taking;
	int batch_rows; /* full at */

	/* what was asked for */
	int wants, fenced, asked_positions, refreshed, woken, blocked, watermarks_asked;
	bool fetch[STUB_PARTITIONS];
	int64_t fetch_from[STUB_PARTITIONS];
	int64_t moved_to;
	int64_t located;
	char stopped[512];
	char stop_hint[512];
	int64_t staged[STUB_PARTITIONS];
} Stub;

extern Stub stub;
extern void stub_reset(void);

#endif
