#include "api/resource/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/request/accept.h"
#include "api/request/coordinate.h"
#include "api/resource/context.h"
#include "api/resource/query_problem.h"

typedef struct Document
{
	const char *name; /* of the prepared statement */
	const char *sql;  /* one text; no row or NULL: there is no such thing */
	bool operates;
	MrProblem absent;
} Document;

/* What waits for its text. */
typedef struct Wait
{
	MrExchange *exchange;
	const Document *document;
	MrQuery *running;
} Wait;

static const Document pipelines = {"pipelines",
								   "SELECT coalesce(json_agg(row_to_json(p) ORDER BY p.name), "
								   "'[]')::text FROM millrace.pipelines AS p",
								   false, MR_PROBLEM_ROUTE};
static const Document pipeline = {
	"pipeline", "SELECT row_to_json(p)::text FROM millrace.pipelines AS p WHERE p.name = $1", false,
	MR_PROBLEM_NO_PIPELINE};
static const Document doctor = {
	"doctor", "SELECT coalesce(json_agg(row_to_json(d)), '[]')::text FROM millrace.doctor() AS d",
	false, MR_PROBLEM_ROUTE};
static const Document pause_pipeline = {
	"pause",
	"WITH verb AS MATERIALIZED (SELECT millrace.pause($1)) "
	"SELECT json_build_object('name', $1::text, 'paused', true)::text FROM verb",
	true, MR_PROBLEM_NO_PIPELINE};
static const Document resume_pipeline = {
	"resume",
	"WITH verb AS MATERIALIZED (SELECT millrace.resume($1)) "
	"SELECT json_build_object('name', $1::text, 'paused', false)::text FROM verb",
	true, MR_PROBLEM_NO_PIPELINE};
/* No pipeline of the role's reads the topic: nothing is known of the event. */
static const Document event_status = {
	"event_status", "SELECT nullif(millrace.event_trace($1, $2::integer, $3::bigint), '[]')::text",
	true, MR_PROBLEM_NO_EVENT};
static const Document dead_letter_groups = {
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
static const Document dead_letter = {
	"dead_letter",
	"SELECT row_to_json(j)::text FROM millrace.dead_letters AS l CROSS JOIN LATERAL ("
	"SELECT l.id::text AS id, l.pipeline, l.version, l.state, l.ended, l.stage, l.sqlstate, "
	"l.condition, l.message, l.detail, "
	"l.hint, l.constraint_name, l.column_name, l.fingerprint, l.topic, l.partition, "
	"l.\"offset\"::text AS \"offset\", "
	"l.kafka_ts, l.key, l.headers, l.payload, l.edited_payload, l.attempts, l.history, "
	"l.first_failed_at, l.failed_at, "
	"l.changed_at, l.replay_count, l.published_at, l.dlq_partition, l.dlq_offset::text AS "
	"dlq_offset) AS j "
	"WHERE l.id = $1::bigint",
	true, MR_PROBLEM_NO_LETTER};

static void ask(MrExchange *exchange, const Document *document, int count,
				const char *const *values);
static bool is_askable(MrExchange *exchange, const Document *document);
static void on_text(void *owner, MrQueryFailure failure, const PGresult *result,
					const MrPgError *error);
static void refuse(const Wait *wait, MrQueryFailure failure, const MrPgError *error);
static void abandon(void *work);

void
mr_pipelines_get(MrExchange *exchange)
{
	ask(exchange, &pipelines, 0, NULL);
}

void
mr_pipeline_get(MrExchange *exchange)
{
	ask(exchange, &pipeline, 1, (const char *const *) exchange->match.captures);
}

void
mr_pipeline_pause(MrExchange *exchange)
{
	ask(exchange, &pause_pipeline, 1, (const char *const *) exchange->match.captures);
}

void
mr_pipeline_resume(MrExchange *exchange)
{
	ask(exchange, &resume_pipeline, 1, (const char *const *) exchange->match.captures);
}

void
mr_doctor_get(MrExchange *exchange)
{
	ask(exchange, &doctor, 0, NULL);
}

void
mr_event_status_get(MrExchange *exchange)
{
	MrCoordinate coordinate;
	const char *values[3];

	if (!mr_coordinate_read(&coordinate, exchange->match.captures[0]))
	{
		mr_exchange_refuse(exchange, MR_PROBLEM_VALUE, "The id is not a Kafka coordinate.",
						   "Use topic:partition:offset, such as events:0:17.");
		return;
	}
	values[0] = coordinate.topic;
	values[1] = coordinate.partition;
	values[2] = coordinate.offset;
	ask(exchange, &event_status, 3, values);
}

void
mr_dead_letter_groups_get(MrExchange *exchange)
{
	ask(exchange, &dead_letter_groups, 0, NULL);
}

void
mr_dead_letter_get(MrExchange *exchange)
{
	ask(exchange, &dead_letter, 1, (const char *const *) exchange->match.captures);
}

static void
ask(MrExchange *exchange, const Document *document, int count, const char *const *values)
{
	const MrContext *context = mr_context_of(exchange);
	MrQueryFailure failure;
	Wait *wait;

	if (!is_askable(exchange, document))
		return;
	wait = mr_calloc(1, sizeof(*wait));
	wait->exchange = exchange;
	wait->document = document;
	wait->running =
		mr_pool_query(document->operates ? context->operate_pool : context->pool, document->name,
					  document->sql, count, values, on_text, wait, &failure);
	if (wait->running == NULL)
	{
		mr_query_problem(exchange, failure, NULL);
		free(wait);
		return;
	}
	exchange->work = wait;
	exchange->abandon = abandon;
}

static bool
is_askable(MrExchange *exchange, const Document *document)
{
	static const char *const types[] = {"application/json"};
	char detail[128];

	if (document->operates && mr_context_of(exchange)->operate_pool == NULL)
		mr_exchange_refuse(exchange, MR_PROBLEM_NO_OPERATE, NULL, NULL);
	else if (mr_accept_choose(mr_exchange_header(exchange, "Accept"), types, 1) < 0)
		mr_exchange_refuse(exchange, MR_PROBLEM_ACCEPT, NULL, "Accept application/json.");
	else if (exchange->params.count > 0)
	{
		snprintf(detail, sizeof(detail), "There is no parameter \"%.64s\".",
				 exchange->params.items[0].name);
		mr_exchange_refuse(exchange, MR_PROBLEM_PARAMETER, detail, "This route has no parameters.");
	}
	else
		return true;
	return false;
}

static void
on_text(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	Wait *wait = owner;
	MrExchange *exchange = wait->exchange;
	MrBuffer body = {0};

	mr_exchange_forget_work(exchange);
	if (failure != MR_QUERY_OK)
		refuse(wait, failure, error);
	else if (PQntuples(result) == 0 || PQgetisnull(result, 0, 0))
		mr_exchange_refuse(exchange, wait->document->absent, NULL, NULL);
	else
	{
		mr_buffer_append(&body, PQgetvalue(result, 0, 0), (size_t) PQgetlength(result, 0, 0));
		mr_buffer_append(&body, "\n", 1);
		mr_exchange_set_header(exchange, "Cache-Control", "private, no-cache");
		mr_exchange_answer(exchange, 200, "application/json", &body);
	}
	free(wait);
}

/* What the verbs of the extension refuse, they say in words for the user. */
static void
refuse(const Wait *wait, MrQueryFailure failure, const MrPgError *error)
{
	static const struct
	{
		const char *sqlstate;
		MrProblem problem;
	} map[] = {{"42704", MR_PROBLEM_NO_PIPELINE}, {"42501", MR_PROBLEM_PRIVILEGE}};

	for (size_t i = 0; failure == MR_QUERY_ERROR && i < sizeof(map) / sizeof(map[0]); i++)
	{
		const MrProblemReport report = {.problem = map[i].problem,
										.detail = error->message,
										.hint = error->hint[0] != '\0' ? error->hint : NULL,
										.sqlstate = error->sqlstate};

		if (strcmp(error->sqlstate, map[i].sqlstate) != 0 || !wait->document->operates)
			continue;
		mr_exchange_problem(wait->exchange, &report);
		return;
	}
	mr_query_problem(wait->exchange, failure, error);
}

static void
abandon(void *work)
{
	Wait *wait = work;

	mr_query_abandon(wait->running);
	free(wait);
}
