#include "api/resource/pipelines.h"

#include "api/resource/document.h"

static const MrDocument pipelines = {"pipelines",
									 "SELECT coalesce(json_agg(row_to_json(p) ORDER BY p.name), "
									 "'[]')::text FROM millrace.pipelines AS p",
									 false, MR_PROBLEM_ROUTE};
static const MrDocument pipeline = {
	"pipeline", "SELECT row_to_json(p)::text FROM millrace.pipelines AS p WHERE p.name = $1", false,
	MR_PROBLEM_NO_PIPELINE};
/* Bigints are text, as everywhere. */
static const MrDocument pipeline_state = {
	"pipeline_state",
	"SELECT json_build_object('partitions', (SELECT coalesce(json_agg(json_build_object("
	"'topic', t.topic, 'partition', t.partition, 'state', t.state, 'error', t.error, 'hint', "
	"t.hint, "
	"'next_offset', t.next_offset::text, 'end_offset', g.end_offset::text, 'lag', g.lag::text, "
	"'behind_s', round(extract(epoch FROM g.behind), 3), 'drained_per_s', g.drained_per_s, "
	"'drained_in_s', round(extract(epoch FROM g.drained_in), 3), 'retrying', t.retrying::text, "
	"'parked', t.parked::text, 'settled_at', t.settled_at) "
	"ORDER BY t.topic, t.partition), '[]') FROM millrace.partitions AS t "
	"LEFT JOIN millrace.lag AS g USING (pipeline, topic, partition) WHERE t.pipeline = p.name), "
	"'workers', (SELECT coalesce(json_agg(json_build_object('number', w.number, 'pid', w.pid, "
	"'state', w.state, 'started_at', w.started_at, 'batches', w.batches::text, "
	"'last_error', w.last_error, 'last_error_at', w.last_error_at) ORDER BY w.number), '[]') "
	"FROM millrace.workers AS w WHERE w.pipeline = p.name), "
	"'lanes', (SELECT coalesce(json_agg(json_build_object('lane_id', l.lane_id, "
	"'segments_used', l.segments_used, 'segments', l.segments, 'bytes', l.bytes::text, "
	"'staged', l.staged::text, 'staged_events', l.staged_events::text) ORDER BY l.lane_id), '[]') "
	"FROM millrace.lanes AS l WHERE l.pipeline = p.name))::text "
	"FROM millrace.pipelines AS p WHERE p.name = $1",
	false, MR_PROBLEM_NO_PIPELINE};
/* The minutes of the last hour. */
static const MrDocument pipeline_history = {
	"pipeline_history",
	"SELECT (SELECT coalesce(json_agg(json_build_object('minute', h.minute, 'up', h.up, "
	"'events', h.events::text, 'failed', h.failed::text, 'dead_lettered', h.dead_lettered::text, "
	"'events_per_s', h.events_per_s, 'busy_workers', h.busy_workers, 'lag', h.lag::text, "
	"'p50_ms', h.p50_ms, 'p95_ms', h.p95_ms, 'p99_ms', h.p99_ms, 'max_ms', h.max_ms) "
	"ORDER BY h.minute), '[]') FROM millrace.stats_history AS h WHERE h.pipeline = p.name "
	"AND h.minute >= now() - interval '61 min')::text FROM millrace.pipelines AS p WHERE p.name = "
	"$1",
	false, MR_PROBLEM_NO_PIPELINE};
static const MrDocument doctor = {
	"doctor", "SELECT coalesce(json_agg(row_to_json(d)), '[]')::text FROM millrace.doctor() AS d",
	false, MR_PROBLEM_ROUTE};
static const MrDocument pause_pipeline = {
	"pause",
	MR_RECORDED("$2") ", verb AS MATERIALIZED (SELECT millrace.pause($1) FROM recorded) "
					  "SELECT json_build_object('name', $1::text, 'paused', true)::text FROM verb",
	.operates = true, .absent = MR_PROBLEM_NO_PIPELINE, .records = true};
static const MrDocument resume_pipeline = {
	"resume",
	MR_RECORDED("$2") ", verb AS MATERIALIZED (SELECT millrace.resume($1) FROM recorded) "
					  "SELECT json_build_object('name', $1::text, 'paused', false)::text FROM verb",
	.operates = true, .absent = MR_PROBLEM_NO_PIPELINE, .records = true};

void
mr_pipelines_get(MrExchange *exchange)
{
	if (mr_document_has_no_params(exchange))
		mr_document_ask(exchange, &pipelines, 0, NULL);
}

void
mr_pipeline_get(MrExchange *exchange)
{
	if (mr_document_has_no_params(exchange))
		mr_document_ask(exchange, &pipeline, 1, (const char *const *) exchange->match.captures);
}

void
mr_pipeline_state_get(MrExchange *exchange)
{
	if (mr_document_has_no_params(exchange))
		mr_document_ask(exchange, &pipeline_state, 1,
						(const char *const *) exchange->match.captures);
}

void
mr_pipeline_history_get(MrExchange *exchange)
{
	if (mr_document_has_no_params(exchange))
		mr_document_ask(exchange, &pipeline_history, 1,
						(const char *const *) exchange->match.captures);
}

void
mr_pipeline_pause(MrExchange *exchange)
{
	if (mr_document_has_no_params(exchange))
		mr_document_ask(exchange, &pause_pipeline, 1,
						(const char *const *) exchange->match.captures);
}

void
mr_pipeline_resume(MrExchange *exchange)
{
	if (mr_document_has_no_params(exchange))
		mr_document_ask(exchange, &resume_pipeline, 1,
						(const char *const *) exchange->match.captures);
}

void
mr_doctor_get(MrExchange *exchange)
{
	if (mr_document_has_no_params(exchange))
		mr_document_ask(exchange, &doctor, 0, NULL);
}
