/*
 * compat.h: the one place that knows how PostgreSQL 15 to 18 differ.
 *
 * Nothing else in the extension may test PG_VERSION_NUM.
 */
#ifndef MR_COMPAT_H
#define MR_COMPAT_H

#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/nbtree.h"
#include "access/tableam.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "nodes/parsenodes.h"
#include "parser/parse_relation.h"
#include "utils/acl.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/tuplesort.h"
#include "utils/wait_event.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM < 150000
#error "millrace needs PostgreSQL 15 or newer"
#endif

/* The spelling of 18, before the declaration. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* Rounds to the precision of timestamp(p); a precision in a column's type has been checked. */
static inline void
mr_timestamp_for_typmod(Timestamp *time, int32 typmod)
{
#if PG_VERSION_NUM >= 160000
	(void) AdjustTimestampForTypmod(time, typmod, NULL);
#else
	AdjustTimestampForTypmod(time, typmod);
#endif
}

/* How the hint of a date that is out of range names the setting, in any language. */
#if PG_VERSION_NUM >= 180000
#define MR_DATESTYLE_IN_HINT "DateStyle"
#else
#define MR_DATESTYLE_IN_HINT "datestyle"
#endif

/* Raises insufficient_privilege unless the current user may run the query. */
static inline void
mr_check_query_permissions(Query *query)
{
#if PG_VERSION_NUM >= 160000
	(void) ExecCheckPermissions(query->rtable, query->rteperminfos, true);
#else
	(void) ExecCheckRTPerms(query->rtable, true);
#endif
}

/* Raises insufficient_privilege unless the role may call the function. */
static inline void
mr_check_may_call(Oid function, Oid role)
{
#if PG_VERSION_NUM >= 160000
	AclResult result = object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE);
#else
	AclResult result = pg_proc_aclcheck(function, role, ACL_EXECUTE);
#endif

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
}

/* Index entries of a row just inserted into the heap; raises a unique violation. */
static inline List *
mr_insert_index_tuples(ResultRelInfo *result, TupleTableSlot *slot, EState *estate)
{
#if PG_VERSION_NUM >= 160000
	return ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL, false);
#else
	return ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL);
#endif
}

/* Whether a column is computed from others, when it is written or when it is read. */
static inline bool
mr_has_generated_columns(TupleDesc desc)
{
#if PG_VERSION_NUM >= 180000
	if (desc->constr != NULL && desc->constr->has_generated_virtual)
		return true;
#endif
	return desc->constr != NULL && desc->constr->has_generated_stored;
}

/* A CHECK may be NOT ENFORCED from PostgreSQL 18 on. */
static inline bool
mr_check_is_enforced(const ConstrCheck *check)
{
#if PG_VERSION_NUM >= 180000
	return check->ccenforced;
#else
	return true;
#endif
}

static inline MinimalTuple
mr_form_minimal_tuple(TupleDesc desc, Datum *values, bool *nulls)
{
#if PG_VERSION_NUM >= 180000
	return heap_form_minimal_tuple(desc, values, nulls, 0);
#else
	return heap_form_minimal_tuple(desc, values, nulls);
#endif
}

/* A new version of a row, without its index entries. */
static inline void
mr_heap_update(Relation rel, ItemPointer tid, HeapTuple tuple)
{
#if PG_VERSION_NUM >= 160000
	TU_UpdateIndexes update_indexes;

	simple_heap_update(rel, tid, tuple, &update_indexes);
#else
	simple_heap_update(rel, tid, tuple);
#endif
}

typedef enum MrIndexesToUpdate
{
	MR_INDEXES_NONE,
	MR_INDEXES_SUMMARIZING, /* those that know pages, not rows: BRIN */
	MR_INDEXES_ALL
} MrIndexesToUpdate;

/* heap_update() asserts that it may wait, and is right without as well. */
#ifdef USE_ASSERT_CHECKING
#define MR_UPDATE_ALWAYS_WAITS true
#else
#define MR_UPDATE_ALWAYS_WAITS false
#endif

/*
 * A new version of a row. wait: for a transaction that is at the row; without, TM_BeingModified is returned. *indexes: which need an
 * entry of the new version (mr_update_index_tuples()).
 */
static inline TM_Result
mr_tuple_update(Relation rel, ItemPointer tid, TupleTableSlot *slot, CommandId command, bool wait,
				MrIndexesToUpdate *indexes)
{
	LockTupleMode lock;
	TM_FailureData failure;
	TM_Result result;
#if PG_VERSION_NUM >= 160000
	TU_UpdateIndexes update = TU_None;

	result = table_tuple_update(rel, tid, slot, command, GetActiveSnapshot(), InvalidSnapshot, wait,
								&failure, &lock, &update);
	*indexes = update == TU_All           ? MR_INDEXES_ALL
			   : update == TU_Summarizing ? MR_INDEXES_SUMMARIZING
										  : MR_INDEXES_NONE;
#else
	bool update = false;

	result = table_tuple_update(rel, tid, slot, command, GetActiveSnapshot(), InvalidSnapshot, wait,
								&failure, &lock, &update);
	*indexes = update ? MR_INDEXES_ALL : MR_INDEXES_NONE;
#endif
	return result;
}

/* Index entries of a row's new version; raises a unique violation. */
static inline List *
mr_update_index_tuples(ResultRelInfo *result, TupleTableSlot *slot, EState *estate,
					   MrIndexesToUpdate indexes)
{
#if PG_VERSION_NUM >= 160000
	return ExecInsertIndexTuples(result, slot, estate, true, false, NULL, NIL,
								 indexes == MR_INDEXES_SUMMARIZING);
#else
	return ExecInsertIndexTuples(result, slot, estate, true, false, NULL, NIL);
#endif
}

static inline IndexScanDesc
mr_index_beginscan(Relation rel, Relation index, Snapshot snapshot, int nkeys)
{
#if PG_VERSION_NUM >= 180000
	return index_beginscan(rel, index, snapshot, NULL, nkeys, 0);
#else
	return index_beginscan(rel, index, snapshot, nkeys, 0);
#endif
}

/* The leaf a key belongs to, pinned and locked; InvalidBuffer: the index is empty, and access is BT_READ. */
static inline void
mr_btree_search(Relation index, Relation table, BTScanInsert key, Buffer *leaf, int access)
{
#if PG_VERSION_NUM >= 170000
	BTStack stack = _bt_search(index, table, key, leaf, access);
#elif PG_VERSION_NUM >= 160000
	BTStack stack = _bt_search(index, table, key, leaf, access, NULL);
#else
	BTStack stack = _bt_search(index, key, leaf, access, NULL);
#endif

	if (stack != NULL)
		_bt_freestack(stack);
}

/* What a query is grouped by: since 18 that is in the range table, and elsewhere in the query are references to it. */
static inline List *
mr_group_expressions(const Query *query)
{
#if PG_VERSION_NUM >= 180000
	ListCell *cell;

	foreach (cell, query->rtable)
		if (lfirst_node(RangeTblEntry, cell)->rtekind == RTE_GROUP)
			return lfirst_node(RangeTblEntry, cell)->groupexprs;
#else
	(void) query;
#endif
	return NIL;
}

#if PG_VERSION_NUM >= 180000
#define mr_executor_run(queryDesc) ExecutorRun(queryDesc, ForwardScanDirection, 0)
#else
#define mr_executor_run(queryDesc) ExecutorRun(queryDesc, ForwardScanDirection, 0, true)
#endif

#if PG_VERSION_NUM >= 170000
#define mr_worker_connect(db, role)                                                                \
	BackgroundWorkerInitializeConnectionByOid(db, role, BGWORKER_BYPASS_ROLELOGINCHECK)
#else
#define mr_worker_connect(db, role) BackgroundWorkerInitializeConnectionByOid(db, role, 0)
#endif

/* A wait event of our own, by which pg_stat_activity names what a process waits for. */
static inline uint32
mr_wait_event_new(const char *name)
{
#if PG_VERSION_NUM >= 170000
	return WaitEventExtensionNew(name);
#else
	return PG_WAIT_EXTENSION;
#endif
}

#endif /* MR_COMPAT_H */
