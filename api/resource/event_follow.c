#include "api/resource/event_follow.h"

#include "api/resource/event_filter.h"
#include "api/resource/query_problem.h"

#define POSITION 4 /* parameters: since, until, xid, id */

static bool put_group(MrEventQuery *query, const MrRelation *relation, const MrParams *params,
					  MrListRefusal *refusal);
static void put_columns(MrEventQuery *query, const MrRelation *relation);
static void put_rows(MrBuffer *sql, const MrRelation *relation);
static void put_source(MrBuffer *sql, const MrRelation *relation);

bool
mr_event_follow_build(MrEventQuery *query, const MrRelation *relation,
					  const MrParams *const *groups, int count, MrListRefusal *refusal)
{
	const char *xid = relation->columns[relation->xid].ident;
	const char *id = relation->columns[relation->id].ident;

	*query = (MrEventQuery){.count = POSITION};
	query->columns = mr_calloc((size_t) relation->count, sizeof(int));
	mr_buffer_printf(&query->sql,
					 "WITH now AS MATERIALIZED (SELECT millrace.stream_system($5) AS system, "
					 "pg_catalog.pg_current_snapshot()::text AS snapshot) "
					 "SELECT now.system, now.snapshot, t.%s::text, t.%s::text",
					 xid, id);
	query->values[query->count++] = relation->ident;
	for (int i = 0; i < count; i++)
		if (!put_group(query, relation, groups[i], refusal))
			return false;
	mr_buffer_printf(&query->sql, " FROM now LEFT JOIN (");
	put_rows(&query->sql, relation);
	mr_buffer_printf(&query->sql, ") AS t ON true ORDER BY t.%s, t.%s", xid, id);
	mr_buffer_string(&query->sql);
	return true;
}

void
mr_event_follow_from(MrEventQuery *query, const MrEventPosition *position)
{
	query->values[0] = position->since;
	query->values[1] = position->until;
	query->values[2] = position->xid;
	query->values[3] = position->id;
}

/* A list has filters by columns with an index, so by types that compare; a stream by any column. */
void
mr_event_follow_problem(MrExchange *exchange, MrQueryFailure failure, const MrPgError *error)
{
	MrProblemReport report = {.problem = MR_PROBLEM_VALUE,
							  .hint = "Filter by a column whose type can be compared in this way."};

	if (failure != MR_QUERY_ERROR || exchange->params.count == 0 ||
		strcmp(error->sqlstate, "42883") != 0)
	{
		mr_rows_problem(exchange, failure, error);
		return;
	}
	report.detail = error->message;
	report.sqlstate = error->sqlstate;
	mr_exchange_problem(exchange, &report);
}

static bool
put_group(MrEventQuery *query, const MrRelation *relation, const MrParams *params,
		  MrListRefusal *refusal)
{
	static const char *const others[] = {"limit", "cursor", "csv"};
	int before = query->count;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (mr_params_get(params, others[i]) != NULL)
			return mr_list_refuse(refusal, MR_PROBLEM_PARAMETER, MR_STREAM_HINT,
								  "A stream has no parameter \"%s\".", others[i]);
	if (!mr_event_query_fields(query, relation, mr_params_get(params, "fields"), refusal))
		return false;
	mr_buffer_printf(&query->sql, ", CASE WHEN ");
	query->joint = "";
	if (!mr_event_filter_put(query, relation, params, false, refusal))
		return false;
	mr_buffer_printf(&query->sql, "%s THEN (SELECT row_to_json(j.*)::text FROM (SELECT ",
					 query->count == before ? "true" : "");
	put_columns(query, relation);
	mr_buffer_printf(&query->sql, ") AS j) END");
	return true;
}

/* As row_json.h has them in a list. */
static void
put_columns(MrEventQuery *query, const MrRelation *relation)
{
	for (int i = 0; i < query->column_count; i++)
	{
		const MrColumn *column = &relation->columns[query->columns[i]];

		mr_buffer_printf(&query->sql, "%st.%s%s AS %s", i > 0 ? ", " : "", column->ident,
						 column->is_bigint ? "::text" : "", column->ident);
	}
}

/* The two conditions apart, so that an index serves each. Absent parameters are constants to the planner. */
static void
put_rows(MrBuffer *sql, const MrRelation *relation)
{
	const char *xid = relation->columns[relation->xid].ident;
	const MrColumn *id = &relation->columns[relation->id];

	mr_buffer_printf(sql, "SELECT * FROM (");
	put_source(sql, relation);
	mr_buffer_printf(sql,
					 "t.%s >= pg_catalog.pg_snapshot_xmax($1::pg_catalog.pg_snapshot) UNION ALL ",
					 xid);
	put_source(sql, relation);
	mr_buffer_printf(sql,
					 "t.%s = ANY (ARRAY(SELECT pg_catalog.pg_snapshot_xip("
					 "$1::pg_catalog.pg_snapshot)))) AS u WHERE ($2::pg_catalog.pg_snapshot IS "
					 "NULL OR (u.%s < pg_catalog.pg_snapshot_xmax($2::pg_catalog.pg_snapshot) AND "
					 "pg_catalog.pg_visible_in_snapshot(u.%s, $2::pg_catalog.pg_snapshot))) AND "
					 "($3::xid8 IS NULL OR (u.%s, u.%s) > ($3::xid8, $4::%s)) "
					 "ORDER BY u.%s, u.%s LIMIT %d",
					 xid, xid, xid, xid, id->ident, id->type, xid, id->ident, MR_FOLLOW_ROWS);
}

static void
put_source(MrBuffer *sql, const MrRelation *relation)
{
	mr_buffer_printf(sql, "SELECT ");
	for (int i = 0; i < relation->count; i++)
		mr_buffer_printf(sql, "%st.%s", i > 0 ? ", " : "", relation->columns[i].ident);
	mr_buffer_printf(sql, " FROM %s AS t WHERE ", relation->ident);
}
