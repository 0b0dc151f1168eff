#include "api/resource/pipelines.h"

#include "api/resource/document.h"

static const MrDocument pipelines = {"pipelines",
									 "SELECT coalesce(json_agg(row_to_json(p) ORDER BY p.name), "
									 "'[]')::text FROM millrace.pipelines AS p",
									 false, MR_PROBLEM_ROUTE};
static const MrDocument pipeline = {
	"pipeline", "SELECT row_to_json(p)::text FROM millrace.pipelines AS p WHERE p.name = $1", false,
	MR_PROBLEM_NO_PIPELINE};
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
