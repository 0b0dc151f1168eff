#include "api/resource/dry_run.h"

#include "api/resource/document.h"
#include "api/resource/dry_run_input.h"

/*
 * The transform runs with the owner's rights, as in a worker, for the time of the statement; that of a pipeline that the role
 * does not see is refused by the function. A sample that is a string is the
 * payload itself, null a tombstone, and anything else is JSON as it was sent.
 */
static const MrDocument dry_run = {
	"dry_run",
	"WITH owner AS MATERIALIZED (SELECT pg_catalog.set_config('role', "
	"pg_catalog.pg_get_userbyid(p.owner), true) FROM millrace.pipelines AS p WHERE p.name = $1) "
	"SELECT (SELECT coalesce(json_agg(json_build_object('sample', d.sample, "
	"'partition', d.partition, 'offset', d.\"offset\"::text, 'outcome', d.outcome, 'rows', d.rows, "
	"'stage', d.stage, 'sqlstate', d.sqlstate, 'message', d.message, 'detail', d.detail, "
	"'hint', d.hint, 'unread', d.unread) ORDER BY d.sample), '[]') FROM millrace.dry_run($1, "
	"CASE WHEN $2::json -> 'samples' IS NOT NULL THEN ARRAY(SELECT CASE WHEN "
	"json_typeof(s.v) IN ('string', 'null') THEN s.v #>> '{}' ELSE s.v::text END "
	"FROM json_array_elements($2::json -> 'samples') WITH ORDINALITY AS s (v, nth) ORDER BY s.nth) "
	"END, coalesce(($2::json ->> 'staged')::numeric::integer, 100), "
	"($2::json ->> 'key')::millrace.payload, ($2::json -> 'headers')::jsonb, $2::json ->> 'topic', "
	"($2::json ->> 'time')::timestamptz) AS d)::text FROM "
	"(SELECT count(o.set_config) FROM owner AS o) AS known",
	.operates = true, .absent = MR_PROBLEM_NO_PIPELINE};

void
mr_pipeline_dry_run(MrExchange *exchange)
{
	MrBuffer text = {0};
	char error[200];
	size_t len;
	const char *body = mr_exchange_body(exchange, &len);
	const char *values[2] = {exchange->match.captures[0], "{}"};

	if (!mr_document_has_no_params(exchange))
		return;
	if (!mr_dry_run_input_check(body, len, error, sizeof(error)))
	{
		mr_exchange_refuse(exchange, MR_PROBLEM_VERB, error, NULL);
		return;
	}
	mr_buffer_append(&text, body, len);
	if (len > 0)
		values[1] = mr_buffer_string(&text);
	mr_document_ask(exchange, &dry_run, 2, values);
	mr_buffer_free(&text);
}
