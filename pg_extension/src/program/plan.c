/*
 * plan.c: see plan.h. Runs in workers and, to check definitions, in any backend.
 *
 * Two plans per statement: the ephemeral relation is said to hold 1 row or some thousands. The plan for
 * many (a hash of a 50,000-row lookup) takes 8 ms on one row, the plan for one 0.007 ms.
 */
#include "program/plan.h"

#include "program/plan_input.h"
#include "server/compat.h"
#include "server/guc.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#define ROWS_SMALL 32 /* rows, up to which the plan for one row is taken */

enum
{
	FOR_FEW,
	FOR_MANY,
	NPLANS
};

struct MrPlan
{
	const char *sql;
	const char *path; /* search_path of the analysis, NULL: the session's */
	MrPlanPatch patch;
	void *arg;
	const char *part; /* of the user's in sql, NULL: all of it is one text */
	int before;       /* characters that stand before it */
	ParserSetupHook setup;
	void *setup_arg;
	bool looks_up;     /* mr_plan_look_up() */
	Snapshot snapshot; /* mr_plan_set_snapshot() */
	TupleDesc visible;
	TupleDesc full;
	QueryEnvironment *environment;
	EphemeralNamedRelationData relation;
	MemoryContext context;      /* of the plan itself */
	MemoryContext stmt_context; /* of the planned statements; reset to plan again */
	PlannedStmt *stmt[NPLANS];
	Oid target;
	bool valid;                     /* the planned statements */
	bool changed;                   /* something they or the analysis depend on was, ever */
	bool target_changed;            /* the target was, ever */
	NamedTuplestoreScanState *scan; /* while it runs, or after it failed */
	struct MrPlan *next;
};

static MrPlan *all_plans = NULL;
static MrPlan *plan_at_work = NULL;
int mr_plan_row_at_work = -1;

static void
invalidate_relation(Datum arg, Oid relid)
{
	for (MrPlan *plan = all_plans; plan != NULL; plan = plan->next)
	{
		bool of_target = !OidIsValid(relid) || relid == plan->target;
		bool concerned = of_target;

		for (int i = 0; i < NPLANS; i++)
			if (plan->stmt[i] != NULL && list_member_oid(plan->stmt[i]->relationOids, relid))
				concerned = true;
		if (concerned)
			plan->valid = false;
		plan->changed = plan->changed || concerned;
		plan->target_changed = plan->target_changed || of_target;
	}
}

static void
invalidate_all(Datum arg, int cacheid, uint32 hashvalue)
{
	for (MrPlan *plan = all_plans; plan != NULL; plan = plan->next)
	{
		plan->valid = false;
		plan->changed = true;
	}
}

static void
watch_invalidations(void)
{
	static bool watching = false;
	static const int caches[] = {PROCOID, TYPEOID,        OPEROID,         NAMESPACEOID,
								 AUTHOID, AUTHMEMMEMROLE, CASTSOURCETARGET};

	if (watching)
		return;
	watching = true;
	CacheRegisterRelcacheCallback(invalidate_relation, (Datum) 0);
	for (int i = 0; i < lengthof(caches); i++)
		CacheRegisterSyscacheCallback(caches[i], invalidate_all, (Datum) 0);
}

/* The plan is freed with its memory context. */
static void
forget(void *arg)
{
	MrPlan **link = &all_plans;

	if (plan_at_work == arg)
		plan_at_work = NULL;

	while (*link != NULL && *link != arg)
		link = &(*link)->next;
	if (*link != NULL)
		*link = (*link)->next;
}

MrPlan *
mr_plan_create(const char *sql, const char *relation, TupleDesc visible, TupleDesc full, Oid target,
			   MrPlanPatch patch, void *arg)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "millrace plan", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	MrPlan *plan = palloc0(sizeof(MrPlan));
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));

	watch_invalidations();
	plan->sql = sql;
	plan->patch = patch;
	plan->arg = arg;
	plan->visible = visible;
	plan->full = full;
	plan->target = target;
	plan->context = context;
	plan->stmt_context =
		AllocSetContextCreate(context, "millrace statement", ALLOCSET_DEFAULT_SIZES);
	plan->relation.md.name = pstrdup(relation);
	plan->relation.md.reliddesc = InvalidOid;
	plan->relation.md.enrtype = ENR_NAMED_TUPLESTORE;
	plan->environment = create_queryEnv();
	register_ENR(plan->environment, &plan->relation);
	plan->next = all_plans;
	all_plans = plan;
	callback->func = forget;
	callback->arg = plan;
	MemoryContextRegisterResetCallback(context, callback);
	MemoryContextSwitchTo(old);
	return plan;
}

void
mr_plan_set_path(MrPlan *plan, const char *path)
{
	plan->path = path;
}

static void
set_up(ParseState *state, void *arg)
{
	const MrPlan *plan = arg;

	if (plan->setup != NULL)
		plan->setup(state, plan->setup_arg);
}

static Query *
analyze(MrPlan *plan, double rows)
{
	int nest = NewGUCNestLevel();
	MrPlanText text;
	MrPlanText part = {0};
	List *parsed;
	Query *query;

	if (plan->path != NULL)
		mr_guc_set("search_path", plan->path);
	plan->relation.md.tupdesc = plan->visible;
	plan->relation.md.enrtuples = rows;
	mr_plan_text_begin(&text, plan->sql, 0);
	if (plan->part != NULL)
		mr_plan_text_begin(&part, plan->part, plan->before);
	parsed = raw_parser(plan->sql, RAW_PARSE_DEFAULT);
	if (list_length(parsed) != 1)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("expected one SQL statement, found %d", list_length(parsed))));
	query = parse_analyze_withcb(linitial_node(RawStmt, parsed), plan->sql, set_up, plan,
								 plan->environment);
	if (plan->patch)
		plan->patch(query, plan->arg);
	if (plan->part != NULL)
		mr_plan_text_end(&part);
	mr_plan_text_end(&text);
	AtEOXact_GUC(true, nest);
	return query;
}

void
mr_plan_set_part(MrPlan *plan, const char *part, int before, ParserSetupHook setup, void *arg)
{
	plan->part = part;
	plan->before = before;
	plan->setup = setup;
	plan->setup_arg = arg;
}

void
mr_plan_look_up(MrPlan *plan)
{
	plan->looks_up = true;
}

void
mr_plan_set_snapshot(MrPlan *plan, Snapshot snapshot)
{
	plan->snapshot = snapshot;
}

Query *
mr_plan_analyze(MrPlan *plan)
{
	return analyze(plan, 1);
}

/* Until the end of the GUC nest level. */
static void
avoid_other_joins(void)
{
	static const char *const settings[] = {"enable_hashjoin", "enable_mergejoin", "enable_material",
										   "enable_memoize"};

	for (int i = 0; i < lengthof(settings); i++)
		mr_guc_set(settings[i], "off");
}

static void
build(MrPlan *plan, int which)
{
	MemoryContext old;
	List *queries;
	int nest = NewGUCNestLevel();

	if (!plan->valid)
	{
		MemoryContextReset(plan->stmt_context);
		memset(plan->stmt, 0, sizeof(plan->stmt));
		plan->valid = true; /* an invalidation from here on is meant for what is built now */
	}
	old = MemoryContextSwitchTo(plan->stmt_context);
	queries = pg_rewrite_query(analyze(plan, which == FOR_FEW ? 1 : 5000));
	if (list_length(queries) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a rule turns the statement into %d statements", list_length(queries)),
				 errhint("Drop the rules of the target table; use triggers instead.")));
	if (plan->looks_up)
		avoid_other_joins();
	plan->stmt[which] = pg_plan_query(linitial_node(Query, queries), plan->sql, 0, NULL);
	AtEOXact_GUC(true, nest);
	MemoryContextSwitchTo(old);
}

static void
lock_relations(PlannedStmt *stmt)
{
	ListCell *cell;

	foreach (cell, stmt->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (rte->rtekind == RTE_RELATION)
			LockRelationOid(rte->relid, rte->rellockmode);
	}
}

/* A valid plan with its relations locked. */
static PlannedStmt *
ready_statement(MrPlan *plan, int which)
{
	for (;;)
	{
		AcceptInvalidationMessages();
		if (!plan->valid || plan->stmt[which] == NULL)
		{
			PushActiveSnapshot(GetTransactionSnapshot());
			build(plan, which);
			PopActiveSnapshot();
		}
		lock_relations(plan->stmt[which]);
		if (plan->valid)
			return plan->stmt[which];
	}
}

PlannedStmt *
mr_plan_statement(MrPlan *plan)
{
	return ready_statement(plan, FOR_MANY);
}

static bool
find_scan(PlanState *state, NamedTuplestoreScanState **found)
{
	if (state == NULL)
		return false;
	if (IsA(state, NamedTuplestoreScanState))
	{
		*found = (NamedTuplestoreScanState *) state;
		return true;
	}
	return planstate_tree_walker(state, find_scan, found);
}

/* Called before the memory of a scan is freed. */
static void
forget_scan(void *arg)
{
	for (MrPlan *plan = all_plans; plan != NULL; plan = plan->next)
		if (plan->scan == *(NamedTuplestoreScanState **) arg)
			plan->scan = NULL;
}

/* The scan is asked where it is at any time, also for the context of a message: it must not outlive its memory, errors included. */
static void
watch_scan(MrPlan *plan, MemoryContext context)
{
	MemoryContextCallback *callback = MemoryContextAllocZero(context, sizeof(*callback));
	NamedTuplestoreScanState **scan = MemoryContextAlloc(context, sizeof(*scan));

	*scan = plan->scan;
	callback->func = forget_scan;
	callback->arg = scan;
	MemoryContextRegisterResetCallback(context, callback);
}

uint64
mr_plan_run_input(MrPlan *plan, const struct MrPlanInput *input, Tuplestorestate *rows, int nrows,
				  DestReceiver *dest)
{
	PlannedStmt *stmt;
	QueryDesc *query;
	uint64 processed;

	plan->scan = NULL;
	plan_at_work = plan;
	stmt = ready_statement(plan, nrows <= ROWS_SMALL ? FOR_FEW : FOR_MANY);
	plan->relation.md.tupdesc = plan->full;
	plan->relation.reldata = rows;

	CommandCounterIncrement();
	PushActiveSnapshot(plan->snapshot != NULL ? plan->snapshot : GetTransactionSnapshot());
	query = CreateQueryDesc(stmt, plan->sql, GetActiveSnapshot(), InvalidSnapshot, dest, NULL,
							plan->environment, 0);
	ExecutorStart(query, 0);
	(void) find_scan(query->planstate, &plan->scan);
	watch_scan(plan, query->estate->es_query_cxt);
	if (input != NULL)
		mr_plan_input_attach(input, query, plan->scan, plan->full, rows);
	mr_executor_run(query);
	processed = query->estate->es_processed;
	ExecutorFinish(query);
	plan->scan = NULL;
	plan_at_work = NULL;
	ExecutorEnd(query);
	FreeQueryDesc(query);
	PopActiveSnapshot();
	CommandCounterIncrement();
	return processed;
}

int
mr_plan_current(MrPlan *plan)
{
	TupleTableSlot *slot = plan->scan ? plan->scan->ss.ss_ScanTupleSlot : NULL;
	bool isnull;

	if (slot == NULL || TTS_EMPTY(slot))
		return -1;
	return DatumGetInt32(slot_getattr(slot, plan->full->natts, &isnull));
}

int
mr_plan_at_work(void)
{
	if (mr_plan_row_at_work >= 0)
		return mr_plan_row_at_work;
	return plan_at_work != NULL ? mr_plan_current(plan_at_work) : -1;
}

int
mr_plan_failed_at(MrPlan *plan)
{
	int ordinal = mr_plan_current(plan);

	plan->scan = NULL;
	plan_at_work = NULL;
	return ordinal;
}

bool
mr_plan_is_valid(MrPlan *plan)
{
	AcceptInvalidationMessages();
	return !plan->changed;
}

bool
mr_plan_target_changed(MrPlan *plan)
{
	AcceptInvalidationMessages();
	return plan->target_changed;
}
