/*
 * full_plan.c: what millrace.full_plan() runs: the plan that a query has once its tables are large and nothing is known of
 * their values. Which of two indexes the planner takes depends on both, and in a table of no row all indexes cost the same:
 * whether an index serves a query must not.
 *
 * The planner's hooks are set from the first call in a session on, and do nothing but while one runs.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "optimizer/plancat.h"
#include "utils/builtins.h"
#include "utils/selfuncs.h"

#include "server/single.h"

#define FULL_PAGES       1000000
#define FULL_ROWS        100000000.0
#define FULL_TREE_HEIGHT 3

static bool is_hooked;
static bool is_full;
static get_relation_info_hook_type next_relation_info = NULL;
static get_relation_stats_hook_type next_relation_stats = NULL;
static get_index_stats_hook_type next_index_stats = NULL;

static void set_hooks(void);
static void fill_relation(PlannerInfo *root, Oid relation, bool inhparent, RelOptInfo *rel);
static bool hide_stats(PlannerInfo *root, RangeTblEntry *rte, AttrNumber column,
					   VariableStatData *stats);
static bool hide_index_stats(PlannerInfo *root, Oid index, AttrNumber column,
							 VariableStatData *stats);

PG_FUNCTION_INFO_V1(mr_full_plan);

/* millrace.full_plan(query text) RETURNS json */
Datum
mr_full_plan(PG_FUNCTION_ARGS)
{
	char *query = psprintf("EXPLAIN (FORMAT JSON) %s", text_to_cstring(PG_GETARG_TEXT_PP(0)));
	char *plan;

	mr_check_single(query);
	set_hooks();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	is_full = true;
	PG_TRY();
	{
		if (SPI_execute(query, false, 0) != SPI_OK_UTILITY)
			elog(ERROR, "could not explain \"%s\"", query);
	}
	PG_FINALLY();
	{
		is_full = false;
	}
	PG_END_TRY();
	plan = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(plan));
}

static void
set_hooks(void)
{
	if (is_hooked)
		return;
	next_relation_info = get_relation_info_hook;
	get_relation_info_hook = fill_relation;
	next_relation_stats = get_relation_stats_hook;
	get_relation_stats_hook = hide_stats;
	next_index_stats = get_index_stats_hook;
	get_index_stats_hook = hide_index_stats;
	is_hooked = true;
}

/* A parent has no rows of its own, and a foreign table is its wrapper's. */
static void
fill_relation(PlannerInfo *root, Oid relation, bool inhparent, RelOptInfo *rel)
{
	ListCell *cell;

	if (next_relation_info != NULL)
		next_relation_info(root, relation, inhparent, rel);
	if (!is_full || inhparent || rel->fdwroutine != NULL)
		return;
	rel->pages = FULL_PAGES;
	rel->tuples = FULL_ROWS;
	rel->allvisfrac = 0;
	rel->statlist = NIL;
	foreach (cell, rel->indexlist)
	{
		IndexOptInfo *index = lfirst(cell);

		index->pages = FULL_PAGES / 4;
		index->tuples = FULL_ROWS;
		if (index->tree_height >= 0)
			index->tree_height = FULL_TREE_HEIGHT;
	}
}

/* True without statistics: there are none. */
static bool
hide_stats(PlannerInfo *root, RangeTblEntry *rte, AttrNumber column, VariableStatData *stats)
{
	if (is_full)
	{
		stats->statsTuple = NULL;
		return true;
	}
	return next_relation_stats != NULL && next_relation_stats(root, rte, column, stats);
}

static bool
hide_index_stats(PlannerInfo *root, Oid index, AttrNumber column, VariableStatData *stats)
{
	if (is_full)
	{
		stats->statsTuple = NULL;
		return true;
	}
	return next_index_stats != NULL && next_index_stats(root, index, column, stats);
}
