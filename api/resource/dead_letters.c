#include "api/resource/dead_letters.h"

#include <stdio.h>
#include <string.h>

#include "api/resource/document.h"
#include "api/resource/letter_verb.h"

#define LIMIT_DEFAULT "100"
#define LIMIT_MAX     1000

/* The parameters of the list, in the order of the statement's. */
static const char *const filters[] = {"pipeline", "state",     "stage",  "sqlstate", "fingerprint",
									  "topic",    "partition", "before", "limit"};
#define FILTER_COUNT ((int) (sizeof(filters) / sizeof(filters[0])))

/* Newest first; the payload is left to the letter itself. */
static const MrDocument dead_letters = {
	"dead_letters",
	"SELECT coalesce(json_agg(p.json ORDER BY p.id DESC), '[]')::text, "
	"CASE WHEN count(*) = $9::integer THEN min(p.id)::text END FROM ("
	"SELECT l.id, row_to_json(j) AS json FROM (SELECT * FROM millrace.dead_letters AS d "
	"WHERE ($1::text IS NULL OR d.pipeline = $1) AND ($2::text IS NULL OR d.state = $2) AND "
	"($3::text IS NULL OR d.stage = $3) "
	"AND ($4::text IS NULL OR d.sqlstate = $4) AND ($5::text IS NULL OR d.fingerprint = $5) "
	"AND ($6::text IS NULL OR d.topic = $6) AND ($7::integer IS NULL OR d.partition = $7) "
	"AND ($8::bigint IS NULL OR d.id < $8) ORDER BY d.id DESC LIMIT $9::integer) AS l CROSS JOIN "
	"LATERAL ("
	"SELECT l.id::text AS id, l.pipeline, l.state, l.ended, l.stage, l.sqlstate, l.condition, "
	"l.message, l.constraint_name, "
	"l.column_name, l.fingerprint, l.topic, l.partition, l.\"offset\"::text AS \"offset\", "
	"l.document, l.key, "
	"l.attempts, "
	"l.first_failed_at, l.failed_at, l.replay_count) AS j) AS p",
	true, MR_PROBLEM_ROUTE, "before"};
static const MrDocument dead_letter_groups = {
	"dead_letter_groups",
	"SELECT coalesce(json_agg(row_to_json(j) ORDER BY j.last_at DESC), '[]')::text "
	"FROM millrace.dead_letter_groups AS g CROSS JOIN LATERAL ("
	"SELECT g.pipeline, g.fingerprint, g.count::text AS count, g.first_at, g.last_at, g.stage, "
	"g.sqlstate, g.condition, "
	"g.message, g.constraint_name, g.column_name, g.open::text AS open, g.replaying::text AS "
	"replaying, "
	"g.replayed::text AS replayed, g.discarded::text AS discarded, g.sample_id::text AS sample_id, "
	"g.topic, g.partition, "
	"g.\"offset\"::text AS \"offset\", g.payload) AS j",
	true, MR_PROBLEM_ROUTE};
static const MrDocument dead_letter = {
	"dead_letter",
	"SELECT row_to_json(j)::text FROM millrace.dead_letters AS l CROSS JOIN LATERAL ("
	"SELECT l.id::text AS id, l.pipeline, l.version, l.state, l.ended, l.stage, l.sqlstate, "
	"l.condition, l.message, l.detail, "
	"l.hint, l.constraint_name, l.column_name, l.fingerprint, l.topic, l.partition, "
	"l.\"offset\"::text AS \"offset\", l.document, "
	"l.kafka_ts, l.key, l.headers, l.payload, l.edited_payload, l.attempts, l.history, "
	"l.first_failed_at, l.failed_at, "
	"l.changed_at, l.replay_count, l.published_at, l.dlq_partition, l.dlq_offset::text AS "
	"dlq_offset) AS j "
	"WHERE l.id = $1::bigint",
	true, MR_PROBLEM_NO_LETTER};

/*
 * ids ($2) are taken as they are, and each must be open; letters selected by what they have in common are those that are
 * open. $5: only count. The condition ($8) is what the audit shows.
 */
#define PICKED                                                                                     \
	MR_RECORDED("$9")                                                                              \
	", picked AS MATERIALIZED (SELECT coalesce($2::bigint[], (SELECT coalesce(array_agg(d.id "     \
	"ORDER BY d.id), '{}') "                                                                       \
	"FROM millrace.dead_letters AS d WHERE d.pipeline = $1 AND d.state = 'open' AND ($3::text IS " \
	"NULL OR d.fingerprint = $3) "                                                                 \
	"AND ($4::text IS NULL OR d.sqlstate = $4))) AS ids FROM recorded) "                           \
	"SELECT json_build_object('pipeline', $1::text, 'dry_run', $5::boolean, 'count', CASE WHEN "   \
	"$5::boolean THEN "
#define MAX_REPLAYS "5"
static const MrDocument replay = {
	"replay",
	PICKED "millrace.count_replay_ids($1, picked.ids, $6::text IS NOT NULL, " MAX_REPLAYS
		   ", $8) ELSE "
		   "millrace.replay_ids($1, picked.ids, convert_to($6, 'UTF8'), "
		   "coalesce($7::integer, 1000), " MAX_REPLAYS ", $8) END)::text FROM picked",
	.operates = true, .absent = MR_PROBLEM_NO_LETTER, .records = true};
static const MrDocument discard = {"discard",
								   PICKED
								   "millrace.count_discard_ids($1, picked.ids, $8) ELSE "
								   "millrace.discard_ids($1, picked.ids, coalesce($6, ''), $8) "
								   "END)::text FROM picked WHERE coalesce($7::integer, 0) >= 0",
								   .operates = true, .absent = MR_PROBLEM_NO_LETTER,
								   .records = true};

static bool read_filters(MrExchange *exchange, const char **values);
static bool check_values(MrExchange *exchange, const char **values);
static void run_verb(MrExchange *exchange, const MrDocument *document, MrLetterVerbKind kind);

void
mr_dead_letters_get(MrExchange *exchange)
{
	const char *values[FILTER_COUNT];

	if (read_filters(exchange, values))
		mr_document_ask(exchange, &dead_letters, FILTER_COUNT, values);
}

void
mr_dead_letter_groups_get(MrExchange *exchange)
{
	if (mr_document_has_no_params(exchange))
		mr_document_ask(exchange, &dead_letter_groups, 0, NULL);
}

void
mr_dead_letter_get(MrExchange *exchange)
{
	if (mr_document_has_no_params(exchange))
		mr_document_ask(exchange, &dead_letter, 1, (const char *const *) exchange->match.captures);
}

void
mr_dead_letters_replay(MrExchange *exchange)
{
	run_verb(exchange, &replay, MR_LETTER_REPLAY);
}

void
mr_dead_letters_discard(MrExchange *exchange)
{
	run_verb(exchange, &discard, MR_LETTER_DISCARD);
}

static bool
read_filters(MrExchange *exchange, const char **values)
{
	char text[160];

	for (int i = 0; i < exchange->params.count; i++)
	{
		const char *name = exchange->params.items[i].name;
		const char *nearest = mr_nearest_name(name, filters, FILTER_COUNT);
		bool known = nearest != NULL && strcmp(nearest, name) == 0;

		if (known)
			continue;
		snprintf(text, sizeof(text), "There is no parameter \"%.64s\"%s%s%s", name,
				 nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
				 nearest != NULL ? "\"?" : ".");
		mr_exchange_refuse(
			exchange, MR_PROBLEM_PARAMETER, text,
			"The parameters are pipeline, state, stage, sqlstate, fingerprint, topic, "
			"partition, before and limit.");
		return false;
	}
	for (int i = 0; i < FILTER_COUNT; i++)
		values[i] = mr_params_get(&exchange->params, filters[i]);
	return check_values(exchange, values);
}

/* What is none of a list would find nothing. */
static bool
check_values(MrExchange *exchange, const char **values)
{
	static const char *const states[] = {"open", "replaying", "replayed", "discarded"};
	static const char *const stages[] = {"decode", "transform", "write", "window"};
	const MrParams *params = &exchange->params;
	const char *value;
	int limit;
	char text[160];

	if (values[FILTER_COUNT - 1] == NULL)
		values[FILTER_COUNT - 1] = LIMIT_DEFAULT;
	if (mr_params_choose(params, "state", states, 4, &value, text, sizeof(text)) &&
		mr_params_choose(params, "stage", stages, 4, &value, text, sizeof(text)) &&
		mr_params_number(params, "limit", 1, LIMIT_MAX, &limit, text, sizeof(text)))
		return true;
	mr_exchange_refuse(exchange, MR_PROBLEM_VALUE, text, NULL);
	return false;
}

static void
run_verb(MrExchange *exchange, const MrDocument *document, MrLetterVerbKind kind)
{
	MrLetterVerb verb;
	char error[200];
	size_t len;
	const char *body = mr_exchange_body(exchange, &len);

	if (!mr_document_has_no_params(exchange))
		return;
	if (len == 0 && mr_exchange_header(exchange, "Content-Length") == NULL)
	{
		mr_exchange_refuse(exchange, MR_PROBLEM_NO_LENGTH, NULL, NULL);
		return;
	}
	if (mr_letter_verb_read(&verb, kind, body, len, error, sizeof(error)))
		mr_document_ask(exchange, document, MR_LETTER_VALUES, verb.values);
	else
		mr_exchange_refuse(exchange, MR_PROBLEM_VERB, error, NULL);
	mr_letter_verb_free(&verb);
}
