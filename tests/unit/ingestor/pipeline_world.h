/*
 * A pipeline with its partitions and lanes against a scripted server (fake_pq.h). The consumer, the control connection and
 * the resolver only note what they are asked for. Partition 1 is used, on lane 1 of 2.
 */
#ifndef MR_TEST_PIPELINE_WORLD_H
#define MR_TEST_PIPELINE_WORLD_H

#include "fake_pq.h"
#include "ingestor/pipeline_answers.h"
#include "ingestor/pipeline_consume.h"
#include "ingestor/pipeline_step.h"

#define OPEN_COLUMNS   "lane incarnation segment segment_bytes"
#define OPEN_VALUES    "7 99 millrace.segment_7_1 1000"
#define ASSIGN_COLUMNS "partition epoch next_offset last_offset last_ts last_crc state seek_ts"
#define OPEN                                                                                       \
	{                                                                                              \
		"SELECT * FROM millrace.lane_open", FAKE_ROW, OPEN_COLUMNS, OPEN_VALUES                    \
	}
#define ASSIGN                                                                                     \
	{                                                                                              \
		"SELECT * FROM millrace.assign", FAKE_ROW, ASSIGN_COLUMNS, "1 5 40 - - - active -"         \
	}
#define ASSIGN_AGAIN                                                                               \
	{                                                                                              \
		"SELECT * FROM millrace.assign", FAKE_ROW, ASSIGN_COLUMNS, "1 6 40 - - - active -"         \
	}
#define STAGE(answer_, columns_, bytes_)                                                           \
	{                                                                                              \
		"SELECT millrace.stage(7, 99, '{1}', '{", answer_, columns_, bytes_                        \
	}
#define SCRIPT(...)                                                                                \
	fake_pq_script((const FakeStep[]){__VA_ARGS__},                                                \
				   (int) (sizeof((const FakeStep[]){__VA_ARGS__}) / sizeof(FakeStep)))

#define PARTITIONS 4

/* What was asked for. */
typedef struct Asked
{
	bool fetch[PARTITIONS];
	int64_t fetch_from[PARTITIONS];
	bool blocked;
	bool fatal; /* what the consumer says */
	int woken, positions, starts;
	int starts_from;      /* the partition that the last question for starts began with */
	MrQuestion question;  /* for the offset of a time */
	MrQuestion looks[16]; /* for watermarks */
	int look_count;
	int64_t end[PARTITIONS]; /* what the consumer's fetches have said of them */
	char calls
		[2048]; /* of stop_partition() and report_watermarks(): function and arguments, a line each */
	MrReply position_set;
} Asked;

extern Asked asked;
extern struct event_base *base;
extern MrPipeline *pl;
extern MrStageLane *lane;      /* lane 1 */
extern MrFetchPartition *part; /* partition 1, NULL before it was granted */

extern int setup(void **state);
extern int teardown(void **state);
extern void grant(void);
extern void take_back(void);
extern void taken(bool more);
extern void turn_until(MrLaneState state, int step);
extern void open_and_assign(void);
extern void add_payload(int64_t offset, void *payload, size_t len);
extern void add(int64_t offset);

#endif
