#include "api/resource/windows.h"

#include <string.h>

#include "api/resource/context.h"
#include "api/resource/document.h"
#include "api/resource/event_list.h"
#include "api/resource/look.h"
#include "api/resource/query_problem.h"

static const MrDocument windows = {
	"windows",
	/* a function has at most 100 arguments, so it is a row */
	"SELECT coalesce(json_agg(row_to_json(w) ORDER BY w.name), '[]')::text FROM (SELECT "
	"w.name, w.pipeline, w.kind, w.relation::text AS relation, w.event_time, "
	"w.size::text AS size, w.slide::text AS slide, w.group_by, w.aggregates, "
	"w.\"where\", w.time_zone, w.origin, w.delay::text AS delay, "
	"w.lateness::text AS lateness, w.max_skew::text AS max_skew, "
	"w.close_idle::text AS close_idle, w.retention::text AS retention, w.watermark, "
	"w.held_topic, w.held_by, w.held_why, w.stalled_since, w.outside::text AS outside, "
	"w.skewed::text AS skewed, w.late::text AS late, w.groups::text AS groups, "
	"w.max_groups::text AS max_groups, w.kept_from, w.left_at, w.output_topic, "
	"w.published::text AS published, w.output_waiting::text AS output_waiting, "
	"w.output_waiting_since, w.output_error, w.output_is_granted, w.gap::text AS gap, "
	"w.max_session::text AS max_session, w.target_since, "
	"w.not_recomputed::text AS not_recomputed, w.failing, w.failing_since, "
	"w.failing_sqlstate, w.failing_error, w.backfilled, w.backfill_share, "
	"w.backfill_rows::text AS backfill_rows, w.backfill_since, w.backfill_reached, "
	"w.backfill_eta, w.backfill_waits, w.backfill_error, w.created_at "
	"FROM millrace.windows AS w) AS w",
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
