/* A relay's calls. */
#include "ingestor/relay/relay_db.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "ingestor/relay/relay_query.h"

#define BATCH_BYTES "16777216"
#define CONNECT_MS  10000
#define ANSWER_MS   65000 /* the statement_timeout below comes first */

struct MrRelayDb
{
	PGconn *pg;
	MrRelayWait wait;
	char *pipeline;
	char *window; /* NULL: the dead letters */
	char *topic;
};

/*
 * A relay asks at least every few seconds. One whose process is stopped, or cut off, loses its session and
 * with it the lock, and another one takes over.
 */
static const char setup_sql[] =
	"SET search_path = pg_catalog, pg_temp; SET standard_conforming_strings = on; "
	"SET idle_session_timeout = '90s'; "
	"SET idle_in_transaction_session_timeout = '10s'; SET statement_timeout = '60s'; "
	"SET lock_timeout = '10s'; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; "
	"SET tcp_keepalives_count = 3; SET tcp_user_timeout = 10000";

static PGresult *run(MrRelayDb *db, const char *sql, int count, const char *const *values,
					 bool binary, char *error);
static bool run_command(MrRelayDb *db, const char *sql, char *error);
static void read_positions(const PGresult *result, MrPositions *positions);
static void read_letters(const MrRelayDb *db, PGresult *result, MrLetters *letters);
static void read_letter(const PGresult *result, int row, MrLetter *letter);
static void put_literal(MrBuffer *out, const char *text);

MrRelayDb *
mr_relay_db_open(const char *dsn, const char *pipeline, const char *window, const char *topic,
				 const atomic_bool *stop, char *error)
{
	const char *const keys[] = {"keepalives_idle",  "keepalives_interval",
								"keepalives_count", "tcp_user_timeout",
								"dbname",           "application_name",
								"client_encoding",  NULL};
	const char *const values[] = {"10", "5", "3", "10000", dsn, "millrace-relay", "UTF8", NULL};
	MrRelayDb *db = mr_calloc(1, sizeof(*db));

	db->pipeline = mr_strdup(pipeline);
	db->window = window ? mr_strdup(window) : NULL;
	db->topic = mr_strdup(topic);
	db->wait = (MrRelayWait){stop, CONNECT_MS, ANSWER_MS};
	db->pg = mr_relay_connect(&db->wait, keys, values, error, MR_RELAY_ERROR);
	if (db->pg == NULL || !run_command(db, setup_sql, error))
	{
		mr_relay_db_close(db);
		return NULL;
	}
	return db;
}

void
mr_relay_db_close(MrRelayDb *db)
{
	if (db == NULL)
		return;
	PQfinish(db->pg);
	free(db->pipeline);
	free(db->window);
	free(db->topic);
	free(db);
}

bool
mr_relay_db_lock(MrRelayDb *db, bool *locked, char *error)
{
	const char *const values[] = {db->pipeline, db->window};
	PGresult *result = run(db, "SELECT millrace.relay_lock($1, $2)", 2, values, false, error);

	*locked = result != NULL && *PQgetvalue(result, 0, 0) == 't';
	PQclear(result);
	return result != NULL;
}

/* One snapshot: a letter that is not marked in it is not in the topic before those positions. */
bool
mr_relay_db_read(MrRelayDb *db, int limit, MrPositions *positions, MrLetters *letters, char *error)
{
	char number[16];
	const char *values[] = {db->pipeline, db->window, db->topic, number};
	PGresult *result;

	snprintf(number, sizeof(number), "%d", limit);
	*letters = (MrLetters){0};
	if (positions != NULL)
	{
		*positions = (MrPositions){0};
		if (!run_command(db, "BEGIN ISOLATION LEVEL REPEATABLE READ", error))
			return false;
		result =
			run(db, "SELECT partition, next_offset FROM millrace.relay_scan_positions($1, $2, $3)",
				3, values, false, error);
		if (result == NULL)
			return false;
		read_positions(result, positions);
		PQclear(result);
	}
	result = run(db, "SELECT * FROM millrace.relay_batch($1, $4, 0, " BATCH_BYTES ", $2, $3)", 4,
				 values, true, error);
	if (result != NULL && positions != NULL && !run_command(db, "COMMIT", error))
	{
		PQclear(result);
		result = NULL;
	}
	if (result == NULL)
	{
		if (positions != NULL)
			mr_positions_free(positions);
		return false;
	}
	read_letters(db, result, letters);
	return true;
}

bool
mr_relay_db_mark(MrRelayDb *db, int32_t partition, int64_t next_offset, const MrSighting *sightings,
				 int count, int64_t *marked, char *error)
{
	MrBuffer ids = {0};
	MrBuffer partitions = {0};
	MrBuffer offsets = {0};
	char texts[2][24];
	const char *values[8] = {db->pipeline};
	const char *comma = "";
	PGresult *result;

	snprintf(texts[0], sizeof(texts[0]), "%" PRId32, partition);
	snprintf(texts[1], sizeof(texts[1]), "%" PRId64, next_offset);
	for (int i = 0; i < count; i++)
	{
		if (partition >= 0 && sightings[i].partition != partition)
			continue;
		mr_buffer_printf(&ids, "%s", comma);
		put_literal(&ids, sightings[i].id);
		mr_buffer_printf(&partitions, "%s%" PRId32, comma, sightings[i].partition);
		mr_buffer_printf(&offsets, "%s%" PRId64, comma, sightings[i].offset);
		comma = ",";
	}
	if (partition >= 0)
	{
		values[1] = texts[0];
		values[2] = texts[1];
	}
	for (int i = 0; i < 3; i++)
	{
		MrBuffer *list = i == 0 ? &ids : i == 1 ? &partitions : &offsets;
		char *array = mr_asprintf("{%s}", mr_buffer_string(list));

		mr_buffer_free(list);
		values[3 + i] = array;
	}
	values[6] = db->window;
	values[7] = db->topic;
	result = run(db, "SELECT millrace.relay_mark($1, $2, $3, $4, $5, $6, $7, $8)", 8, values, false,
				 error);
	if (result != NULL)
		*marked += strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);
	for (int i = 3; i < 6; i++)
		free((char *) values[i]);
	return result != NULL;
}

bool
mr_relay_db_report(MrRelayDb *db, const char *text, char *error)
{
	const char *values[] = {db->pipeline, text, db->window};
	PGresult *result = run(db,
						   "SELECT millrace.report($1, jsonb_build_object(concat_ws('.', "
						   "'relay_error', $3::text), $2::text))",
						   3, values, false, error);

	PQclear(result);
	return result != NULL;
}

void
mr_positions_free(MrPositions *positions)
{
	free(positions->items);
	*positions = (MrPositions){0};
}

void
mr_letters_free(MrLetters *letters)
{
	PQclear(letters->result);
	free(letters->items);
	*letters = (MrLetters){0};
}

/* NULL when it failed. */
static PGresult *
run(MrRelayDb *db, const char *sql, int count, const char *const *values, bool binary, char *error)
{
	return mr_relay_query(db->pg, &db->wait, sql, count, values, binary, error, MR_RELAY_ERROR);
}

static bool
run_command(MrRelayDb *db, const char *sql, char *error)
{
	PGresult *result = run(db, sql, 0, NULL, false, error);
	bool ok = result != NULL;

	PQclear(result);
	return ok;
}

static void
read_positions(const PGresult *result, MrPositions *positions)
{
	int rows = PQntuples(result);

	if (rows == 0)
		return;
	/* in the order of partitions */
	positions->count = atoi(PQgetvalue(result, rows - 1, 0)) + 1;
	positions->items = mr_malloc(sizeof(int64_t) * (size_t) positions->count);
	for (int i = 0; i < positions->count; i++)
		positions->items[i] = -1;
	for (int i = 0; i < rows; i++)
		positions->items[atoi(PQgetvalue(result, i, 0))] =
			strtoll(PQgetvalue(result, i, 1), NULL, 10);
}

static void
read_letters(const MrRelayDb *db, PGresult *result, MrLetters *letters)
{
	letters->result = result;
	letters->count = PQntuples(result);
	letters->items = mr_calloc((size_t) letters->count + 1, sizeof(MrLetter));
	for (int i = 0; i < letters->count; i++)
	{
		read_letter(result, i, &letters->items[i]);
		letters->items[i].pipeline = db->pipeline;
		letters->items[i].window = db->window;
	}
}

/* libpq puts a zero behind every value, in binary format too. */
static const char *
get_bytes(const PGresult *result, int row, const char *column, size_t *len)
{
	int number = PQfnumber(result, column);

	if (number < 0 || PQgetisnull(result, row, number))
		return NULL;
	if (len != NULL)
		*len = (size_t) PQgetlength(result, row, number);
	return PQgetvalue(result, row, number);
}

static int64_t
get_number(const PGresult *result, int row, const char *column)
{
	size_t len = 0;
	const char *data = get_bytes(result, row, column, &len);
	uint64_t big;
	uint32_t small;

	if (data != NULL && len == sizeof(big))
	{
		memcpy(&big, data, sizeof(big));
		return (int64_t) be64toh(big);
	}
	if (data != NULL && len == sizeof(small))
	{
		memcpy(&small, data, sizeof(small));
		return (int32_t) be32toh(small);
	}
	return 0;
}

static void
read_letter(const PGresult *result, int row, MrLetter *letter)
{
	letter->number = get_number(result, row, "dead_letter");
	letter->id = get_bytes(result, row, "id", NULL);
	letter->topic = get_bytes(result, row, "topic", NULL);
	letter->partition = (int32_t) get_number(result, row, "partition");
	letter->offset = get_number(result, row, "\"offset\"");
	letter->kafka_ts = get_number(result, row, "kafka_ts");
	letter->key = get_bytes(result, row, "key", &letter->key_len);
	letter->headers = get_bytes(result, row, "headers", &letter->headers_len);
	letter->payload = get_bytes(result, row, "payload", &letter->payload_len);
	letter->version = (int32_t) get_number(result, row, "version");
	letter->stage = get_bytes(result, row, "stage", NULL);
	letter->sqlstate = get_bytes(result, row, "sqlstate", NULL);
	letter->condition = get_bytes(result, row, "condition", NULL);
	letter->message = get_bytes(result, row, "message", NULL);
	letter->detail = get_bytes(result, row, "detail", NULL);
	letter->hint = get_bytes(result, row, "hint", NULL);
	letter->constraint_name = get_bytes(result, row, "constraint_name", NULL);
	letter->column_name = get_bytes(result, row, "column_name", NULL);
	letter->ended = get_bytes(result, row, "ended", NULL);
	letter->attempts = (int32_t) get_number(result, row, "attempts");
	letter->document = (int32_t) get_number(result, row, "document");
	letter->fingerprint = get_bytes(result, row, "fingerprint", NULL);
	letter->revision = (int32_t) get_number(result, row, "revision");
}

/* An element of an array literal. */
static void
put_literal(MrBuffer *out, const char *text)
{
	mr_buffer_append(out, "\"", 1);
	for (; *text != '\0'; text++)
	{
		if (*text == '"' || *text == '\\')
			mr_buffer_append(out, "\\", 1);
		mr_buffer_append(out, text, 1);
	}
	mr_buffer_append(out, "\"", 1);
}
