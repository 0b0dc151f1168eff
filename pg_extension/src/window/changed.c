/*
 * changed.c: see changed.h. Runs in workers, inside a subtransaction of the write.
 */
#include "window/changed.h"

#include "access/table.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "program/conflict_index.h"
#include "program/merge.h"
#include "server/compat.h"
#include "server/row_receiver.h"

struct MrChanged
{
	DestReceiver pub; /* first */
	MrPlan *plan;
	const MrBatch *batch;
	MrChangedRow put;
	void *arg;
};

static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	MrChanged *changed = (MrChanged *) self;
	int number;

	slot_getallattrs(slot);
	number = DatumGetInt32(slot->tts_values[0]);
	if (number < 0 || number >= changed->batch->nrows)
		elog(ERROR, "a row of the target is of no known event");
	if (changed->batch->rows[number].written)
		changed->put(changed->arg, number, slot->tts_values + 1, slot->tts_isnull + 1);
	return true;
}

/* What an upsert finds must be what the look-up finds. */
static void
check_key(const MrProgram *program)
{
	Relation target = mr_target_open(program->definition, AccessShareLock);

	mr_conflict_key_check(program, target);
	table_close(target, NoLock);
}

MrChanged *
mr_changed_create(const MrProgram *program)
{
	MrChanged *changed = palloc0(sizeof(MrChanged));
	StringInfoData sql;

	check_key(program);
	changed->pub = mr_row_receiver(receive);
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT new.\"" MR_MERGE_NUMBER "\"");
	for (int i = 0; i < program->stored->natts; i++)
		appendStringInfo(&sql, ", old.%s",
						 quote_identifier(NameStr(TupleDescAttr(program->stored, i)->attname)));
	appendStringInfo(&sql, " FROM " MR_MERGE_ROWS " AS new, %s AS " MR_MERGE_OLD,
					 mr_target_name(program->definition));
	mr_merge_append_match(&sql, program);
	changed->plan = mr_merge_plan(program, sql.data, mr_merge_describe_rows(program));
	mr_check_query_permissions(mr_plan_analyze(changed->plan));
	return changed;
}

void
mr_changed_read(MrChanged *changed, const MrBatch *batch, Tuplestorestate *rows, int nrows,
				CommandId before, MrChangedRow put, void *arg)
{
	changed->batch = batch;
	changed->put = put;
	changed->arg = arg;
	tuplestore_rescan(rows);
	if (before == InvalidCommandId)
	{
		mr_plan_set_snapshot(changed->plan, NULL); /* a run that failed may have left one */
		(void) mr_plan_run(changed->plan, rows, nrows, &changed->pub);
		return;
	}
	PushCopiedSnapshot(GetLatestSnapshot());
	GetActiveSnapshot()->curcid = before;
	mr_plan_set_snapshot(changed->plan, GetActiveSnapshot());
	(void) mr_plan_run(changed->plan, rows, nrows, &changed->pub);
	mr_plan_set_snapshot(changed->plan, NULL);
	PopActiveSnapshot();
}
