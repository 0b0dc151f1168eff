/*
 * error_class.c: see error_class.h. Runs in workers, for failing events only; the table is small and is read
 * as a whole, so that an edit counts from the next failure on.
 */
#include "pipeline/error_class.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "server/catalog.h"

/* How specific the row is for the failure, -1 when it does not match. */
static int
rank(HeapTuple tuple, TupleDesc desc, int32 pipeline_id, const MrFailure *failure)
{
	bool isnull;
	int32 of_pipeline = DatumGetInt32(heap_getattr(tuple, MR_CLASS_PIPELINE_ID, desc, &isnull));
	char *state = mr_catalog_text(tuple, MR_CLASS_SQLSTATE, desc);
	char *constraint = mr_catalog_text(tuple, MR_CLASS_CONSTRAINT_NAME, desc);
	int result = 0;

	if (!isnull && of_pipeline != pipeline_id)
		return -1;
	result += isnull ? 0 : 8;
	if (strncmp(state, unpack_sql_state(failure->sqlstate), strlen(state)) != 0)
		return -1;
	result += strlen(state) == 5 ? 2 : 0;
	if (constraint != NULL &&
		(failure->constraint_name == NULL || strcmp(constraint, failure->constraint_name) != 0))
		return -1;
	result += constraint != NULL ? 4 : 0;
	return result + (DatumGetBool(heap_getattr(tuple, MR_CLASS_BUILTIN, desc, &isnull)) ? 0 : 1);
}

MrAction
mr_error_class_action(int32 pipeline_id, const MrFailure *failure)
{
	MemoryContext scratch =
		AllocSetContextCreate(CurrentMemoryContext, "millrace error class", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	Relation rel = mr_catalog_open("error_class", AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	MrAction action = MR_ACTION_DEAD_LETTER;
	int best = -1;
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		int this = rank(tuple, RelationGetDescr(rel), pipeline_id, failure);
		char *name;

		if (this <= best)
			continue;
		best = this;
		name = mr_catalog_text(tuple, MR_CLASS_ACTION, RelationGetDescr(rel));
		action = strcmp(name, "retry") == 0   ? MR_ACTION_RETRY
				 : strcmp(name, "break") == 0 ? MR_ACTION_BREAK
											  : MR_ACTION_DEAD_LETTER;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return action;
}
