/* Reading the rows: columns by name, so that a function may return more than we know. */
#include "ingestor/control/rows.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const PGresult *result, int number, const char *column);
static int64_t int64_of(const PGresult *result, int number, const char *column, int64_t when_null);
static bool is_null(const PGresult *result, int number, const char *column);
static bool is_stopped(const PGresult *result, int number);

void
mr_served_row_read(const PGresult *result, int number, MrServedRow *row)
{
	row->pipeline = text_of(result, number, "pipeline");
	row->topic = text_of(result, number, "topic");
	row->group_id = text_of(result, number, "group_id");
	row->lanes = (int) int64_of(result, number, "lanes", 0);
	row->partitions = (int) int64_of(result, number, "partitions", 0);
	row->start_at = text_of(result, number, "start_at");
	row->incarnation = int64_of(result, number, "incarnation", 0);
	row->moves = int64_of(result, number, "moves", 0);
	row->several = !is_null(result, number, "topics");
	row->topics = text_of(result, number, "topics");
	row->late_topics = text_of(result, number, "late_topics");
	row->is_pattern = *text_of(result, number, "is_pattern") == 't';
}

void
mr_relay_row_read(const PGresult *result, int number, MrRelayRow *row)
{
	row->pipeline = text_of(result, number, "pipeline");
	row->topic = text_of(result, number, "topic");
	row->delivery = text_of(result, number, "delivery");
	row->transactional_id = text_of(result, number, "transactional_id");
	row->source_topic = text_of(result, number, "source_topic");
	row->partitions = (int) int64_of(result, number, "partitions", 0);
	row->due = *text_of(result, number, "due") == 't';
	row->former_ids = text_of(result, number, "former_ids");
	row->window = text_of(result, number, "window");
}

void
mr_assigned_row_read(const PGresult *result, int number, MrAssignedRow *row)
{
	row->partition = (int32_t) int64_of(result, number, "partition", -1);
	row->stopped = is_stopped(result, number);
	row->epoch = int64_of(result, number, "epoch", 0);
	row->next_offset = int64_of(result, number, "next_offset", 0);
	row->last_offset = int64_of(result, number, "last_offset", -1);
	row->last_ts = int64_of(result, number, "last_ts", -1);
	row->last_crc = (uint32_t) int64_of(result, number, "last_crc", 0);
	row->seek_ts = int64_of(result, number, "seek_ts", INT64_MIN);
	row->topic_partition = (int32_t) int64_of(result, number, "topic_partition", -1);
	row->topic = text_of(result, number, "topic");
}

void
mr_number_row_read(const PGresult *result, int number, MrNumberRow *row)
{
	row->partition = (int32_t) int64_of(result, number, "partition", -1);
	row->topic = text_of(result, number, "topic");
	row->topic_partition = (int32_t) int64_of(result, number, "topic_partition", -1);
}

void
mr_position_row_read(const PGresult *result, int number, MrPositionRow *row)
{
	row->partition = (int32_t) int64_of(result, number, "partition", -1);
	row->epoch = int64_of(result, number, "epoch", 0);
	row->next_offset = int64_of(result, number, "next_offset", 0);
	row->stopped = is_stopped(result, number);
	row->end_age_ms = int64_of(result, number, "end_age", -1);
}

void
mr_lane_row_read(const PGresult *result, int number, MrLaneRow *row)
{
	row->lane = (int32_t) int64_of(result, number, "lane", -1);
	row->incarnation = int64_of(result, number, "incarnation", 0);
	row->segment = text_of(result, number, "segment");
	row->segment_bytes = int64_of(result, number, "segment_bytes", INT64_MAX);
}

/* "" when null, and when there is no such column. */
static const char *
text_of(const PGresult *result, int number, const char *column)
{
	int field = PQfnumber(result, column);

	return field < 0 ? "" : PQgetvalue(result, number, field);
}

static int64_t
int64_of(const PGresult *result, int number, const char *column, int64_t when_null)
{
	int field = PQfnumber(result, column);

	if (field < 0 || PQgetisnull(result, number, field))
		return when_null;
	return strtoll(PQgetvalue(result, number, field), NULL, 10);
}

/* Also when there is no such column. */
static bool
is_null(const PGresult *result, int number, const char *column)
{
	int field = PQfnumber(result, column);

	return field < 0 || PQgetisnull(result, number, field);
}

static bool
is_stopped(const PGresult *result, int number)
{
	return strcmp(text_of(result, number, "state"), "stopped") == 0;
}
