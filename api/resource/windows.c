#include "api/resource/windows.h"

#include <string.h>

#include "api/resource/context.h"
#include "api/resource/document.h"
#include "api/resource/event_list.h"
#include "api/resource/look.h"
#include "api/resource/query_problem.h"

static const MrDocument windows = {
	"windows",
	"SELECT coalesce(json_agg(json_build_object('name', w.name, 'pipeline', w.pipeline, 'kind', "
	"w.kind, "
	"'relation', w.relation::text, 'event_time', w.event_time, 'size', w.size::text, 'slide', "
	"w.slide::text, "
	"'group_by', w.group_by, 'aggregates', w.aggregates, 'where', w.\"where\", 'time_zone', "
	"w.time_zone, "
	"'origin', w.origin, 'delay', w.delay::text, 'lateness', w.lateness::text, 'max_skew', "
	"w.max_skew::text, "
	"'close_idle', w.close_idle::text, 'retention', w.retention::text, 'watermark', w.watermark, "
	"'held_topic', w.held_topic, 'held_by', w.held_by, 'held_why', w.held_why, 'stalled_since', "
	"w.stalled_since, "
	"'outside', w.outside::text, 'skewed', w.skewed::text, 'late', w.late::text, "
	"'groups', w.groups::text, 'max_groups', w.max_groups::text, 'kept_from', w.kept_from, "
	"'left_at', w.left_at, 'output_topic', w.output_topic, 'published', w.published::text, "
	"'output_waiting', w.output_waiting::text, 'output_waiting_since', w.output_waiting_since, "
	"'output_error', w.output_error, 'output_is_granted', w.output_is_granted, "
	"'gap', w.gap::text, 'max_session', w.max_session::text, "
	"'target_since', w.target_since, 'not_recomputed', w.not_recomputed::text, 'created_at', "
	"w.created_at) "
	"ORDER BY w.name), '[]')::text FROM millrace.windows AS w",
	false, MR_PROBLEM_ROUTE};

/* Of a window, which may be made, altered and dropped at any time. */
static const char columns_sql[] =
	"SELECT relation_ident, name, ident, type, is_bigint, use, filterable, NULL FROM "
	"millrace.window_columns($1)";

static void on_columns(MrExchange *exchange, const void *detail, MrQueryFailure failure,
					   const PGresult *result, const MrPgError *error);
static void refuse(MrExchange *exchange, MrQueryFailure failure, const MrPgError *error);

void
mr_windows_get(MrExchange *exchange)
{
	if (mr_document_has_no_params(exchange))
		mr_document_ask(exchange, &windows, 0, NULL);
}

void
mr_window_get(MrExchange *exchange)
{
	const char *values[] = {exchange->match.captures[0]};
	MrFormat format;

	if (mr_event_list_format(exchange, &format))
		mr_look_up(exchange, mr_context_of(exchange)->pool, "window_columns", columns_sql, 1,
				   values, on_columns, NULL);
}

static void
on_columns(MrExchange *exchange, const void *detail, MrQueryFailure failure, const PGresult *result,
		   const MrPgError *error)
{
	MrFormat format;

	(void) detail;
	if (failure != MR_QUERY_OK)
		refuse(exchange, failure, error);
	else if (PQntuples(result) == 0)
		mr_exchange_refuse(exchange, MR_PROBLEM_NO_WINDOW, NULL, NULL);
	else if (mr_event_list_format(exchange, &format)) /* it has one: it was asked before */
		mr_event_list_give(exchange, format,
						   mr_relation_new(result, exchange->match.captures[0], 0), true);
}

/* Who may read a window its owner says; the client sees the command that allows it to the service. */
static void
refuse(MrExchange *exchange, MrQueryFailure failure, const MrPgError *error)
{
	if (failure == MR_QUERY_ERROR && strcmp(error->sqlstate, "42501") == 0)
	{
		const MrProblemReport report = {.problem = MR_PROBLEM_PRIVILEGE,
										.detail = error->message,
										.hint = error->hint,
										.sqlstate = error->sqlstate};

		mr_exchange_problem(exchange, &report);
	}
	else
		mr_query_problem(exchange, failure, error);
}
