/*
 * Rows that functions of schema millrace return to an ingestor, as structs. Texts point into the result they
 * were read from. A row number must be below PQntuples().
 */
#ifndef MR_INGESTOR_ROWS_H
#define MR_INGESTOR_ROWS_H

#include <stdbool.h>
#include <stdint.h>

struct pg_result;

/* A pipeline that an ingestor may serve: millrace.ingestor_pipelines(). */
typedef struct MrServedRow
{
	const char *pipeline;
	const char *topic;
	const char *group_id;
	int lanes;
	int partitions; /* that have a row in the catalogue */
	const char *start_at;
	int64_t incarnation;
	int64_t moves; /* another number when a partition was assigned, moved, stopped or made active */
	bool several;  /* topics */
	const char *topics;      /* of these those to read, with commas between */
	const char *late_topics; /* of these those that are read from their beginning */
	bool is_pattern;         /* topic is one: report_topics() */
} MrServedRow;

/* A pipeline whose dead letters go to Kafka, or a window that does: millrace.relay_pipelines(). */
typedef struct MrRelayRow
{
	const char *pipeline;
	const char *topic;
	const char *delivery;
	const char *transactional_id;
	const char *source_topic;
	int partitions;
	bool due;               /* messages wait, and no session relays them */
	const char *former_ids; /* transactional ids of before, separated by commas; "" none */
	const char *window;     /* "" the dead letters */
} MrRelayRow;

/* A partition that is ours from now on: millrace.assign(). */
typedef struct MrAssignedRow
{
	int32_t partition;
	bool stopped; /* nothing else is valid then */
	int64_t epoch;
	int64_t next_offset;
	int64_t last_offset; /* identity of the last settled message, -1 = none */
	int64_t last_ts;
	uint32_t last_crc;
	int64_t seek_ts;   /* ms since 1970: resolve this time to an offset first; INT64_MIN = no */
	const char *topic; /* what Kafka calls it; "" = not said */
	int32_t topic_partition;
} MrAssignedRow;

/* A partition of a pipeline with several topics: millrace.topic_partitions(). */
typedef struct MrNumberRow
{
	int32_t partition; /* its number */
	const char *topic;
	int32_t topic_partition;
} MrNumberRow;

/* How far a partition is settled: millrace.positions(). */
typedef struct MrPositionRow
{
	int32_t partition;
	int64_t epoch;
	int64_t next_offset;
	bool stopped;
	int64_t end_age_ms; /* since the partition's end was reported, -1 never */
} MrPositionRow;

/* What a connection is bound to: millrace.lane_open(). */
typedef struct MrLaneRow
{
	int32_t lane;
	int64_t incarnation;
	const char *segment;
	int64_t segment_bytes;
} MrLaneRow;

extern void mr_served_row_read(const struct pg_result *result, int number, MrServedRow *row);
extern void mr_relay_row_read(const struct pg_result *result, int number, MrRelayRow *row);
extern void mr_assigned_row_read(const struct pg_result *result, int number, MrAssignedRow *row);
extern void mr_number_row_read(const struct pg_result *result, int number, MrNumberRow *row);
extern void mr_position_row_read(const struct pg_result *result, int number, MrPositionRow *row);
extern void mr_lane_row_read(const struct pg_result *result, int number, MrLaneRow *row);

#endif
