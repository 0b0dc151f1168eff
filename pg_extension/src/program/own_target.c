/*
 * own_target.c: see own_target.h. Runs when a definition is checked.
 *
 * The events of a batch are transformed before any of their rows is written: they do not see each other's, but those of
 * earlier batches. What such a transform gives depends on where batches are cut, which nobody decides.
 */
#include "program/own_target.h"

#include "catalog/pg_inherits.h"
#include "nodes/nodeFuncs.h"
#include "tcop/tcopprot.h"
#include "utils/lsyscache.h"

typedef struct Search
{
	Oid target;
	List *family; /* it and its partitions */
	bool found;
} Search;

static bool
reads_target(const RangeTblEntry *rte, const Search *search)
{
	if (rte->rtekind != RTE_RELATION)
		return false;
	return list_member_oid(search->family, rte->relid) ||
		   (rte->inh &&
			list_member_oid(find_all_inheritors(rte->relid, NoLock, NULL), search->target));
}

/* A walker over a query whose views are expanded: a view's query is a subquery in its place. */
static bool
find(Node *node, Search *search)
{
	if (node == NULL || search->found)
		return search->found;
	if (IsA(node, RangeTblEntry))
	{
		search->found = reads_target((RangeTblEntry *) node, search);
		return search->found;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find, search, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, find, search);
}

static void
refuse(const MrProgram *program, const char *what, bool through_view)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s reads the pipeline's own target \"%s\"%s", what,
					get_rel_name(program->definition->target),
					through_view ? " through a view" : ""),
			 errdetail("The events of a batch do not see each other's rows, so that what it gives "
					   "depends on where batches are cut."),
			 program->definition->on_conflict == MR_CONFLICT_UPDATE
				 ? errhint("Say what becomes of the old row with merge: merge => $$ total = "
						   "old.total + new.total, note = coalesce(new.note, old.note) $$.")
				 : errhint("Use an upsert that says what becomes of the old row (on_conflict => "
						   "'update', merge => ...), or leave rows out that are there already "
						   "(on_conflict => 'ignore').")));
}

/* What of a query is the user's: all of a transform, the assignments of an upsert. */
static Node *
part_of(Query *query)
{
	return query->onConflict != NULL ? (Node *) query->onConflict->onConflictSet : (Node *) query;
}

static void
check(const MrProgram *program, MrPlan *plan, const char *what)
{
	Search search = {.target = program->definition->target};
	Query *query = mr_plan_analyze(plan);

	search.family = find_all_inheritors(search.target, NoLock, NULL);
	if (find(part_of(query), &search))
		refuse(program, what, false);
	if (find(part_of(linitial_node(Query, pg_rewrite_query(query))), &search))
		refuse(program, what, true);
}

void
mr_refuse_own_target(MrProgram *program)
{
	check(program, program->transform, "the transform");
	if (program->definition->merge != NULL)
		check(program, program->insert, "merge");
}
