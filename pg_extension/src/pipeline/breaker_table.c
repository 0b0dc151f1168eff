/*
 * breaker_table.c: see breaker_table.h. Runs in workers; each opens and closes for what it meets itself.
 */
#include "pipeline/breaker_table.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "server/catalog.h"
#include "server/errcode.h"
#include "server/locks.h"
#include "server/xact.h"
#include "pipeline/error_class.h"

#define LOCK_BREAKER (-2) /* in the place of a partition: the breaker's row */

static HeapTuple
fetch(Relation rel, int32 pipeline_id)
{
	ScanKeyData key;

	mr_key_int4(&key, MR_BREAKER_PIPELINE_ID, pipeline_id);
	return mr_catalog_fetch(rel, "breaker_pkey", 1, &key, false);
}

static int64
times_opened(HeapTuple tuple, TupleDesc desc)
{
	bool isnull;

	return HeapTupleIsValid(tuple)
			   ? DatumGetInt64(heap_getattr(tuple, MR_BREAKER_OPENED, desc, &isnull))
			   : 0;
}

static bool
has_state(HeapTuple tuple, TupleDesc desc, const char *state)
{
	bool isnull;

	return HeapTupleIsValid(tuple) &&
		   strcmp(TextDatumGetCString(heap_getattr(tuple, MR_BREAKER_STATE, desc, &isnull)),
				  state) == 0;
}

static bool
is_closed(HeapTuple tuple, TupleDesc desc)
{
	return !HeapTupleIsValid(tuple) || has_state(tuple, desc, "closed");
}

/*
 * Writes the row: `state`, with the reason of the trouble. Open and half open take turns while it goes on, since when it
 * does stays. Returns whether it was open or half open before.
 */
static bool
put(Relation rel, int32 pipeline_id, const char *state, const char *reason, int sqlstate,
	TimestampTz next_probe)
{
	TupleDesc desc = RelationGetDescr(rel);
	HeapTuple old = fetch(rel, pipeline_id);
	bool was_closed = is_closed(old, desc);
	bool closes = strcmp(state, "closed") == 0;
	Datum values[MR_BREAKER_NATTS] = {0};
	bool nulls[MR_BREAKER_NATTS] = {false};
	bool replace[MR_BREAKER_NATTS];

	values[MR_BREAKER_PIPELINE_ID - 1] = Int32GetDatum(pipeline_id);
	values[MR_BREAKER_STATE - 1] = CStringGetTextDatum(state);
	values[MR_BREAKER_SINCE - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[MR_BREAKER_OPENED - 1] =
		Int64GetDatum(times_opened(old, desc) + (was_closed && !closes ? 1 : 0));
	nulls[MR_BREAKER_REASON - 1] = nulls[MR_BREAKER_SQLSTATE - 1] = reason == NULL;
	if (reason != NULL)
	{
		values[MR_BREAKER_REASON - 1] = CStringGetTextDatum(reason);
		values[MR_BREAKER_SQLSTATE - 1] = CStringGetTextDatum(unpack_sql_state(sqlstate));
	}
	nulls[MR_BREAKER_NEXT_PROBE_AT - 1] = next_probe == 0;
	values[MR_BREAKER_NEXT_PROBE_AT - 1] = TimestampTzGetDatum(next_probe);
	memset(replace, true, sizeof(replace));
	if (was_closed == closes)
		replace[MR_BREAKER_SINCE - 1] = false;
	if (strcmp(state, "half_open") == 0)
		replace[MR_BREAKER_REASON - 1] = replace[MR_BREAKER_SQLSTATE - 1] = false;
	if (HeapTupleIsValid(old))
		CatalogTupleUpdate(rel, &old->t_self, heap_modify_tuple(old, desc, values, nulls, replace));
	else
		CatalogTupleInsert(rel, heap_form_tuple(desc, values, nulls));
	return !was_closed;
}

/* In a transaction of its own. `*was_open`: see put(); unchanged when the extension was dropped. */
static void
set(int32 pipeline_id, const char *state, const char *reason, int sqlstate, TimestampTz next_probe,
	bool *was_open)
{
	Relation rel;

	if (!mr_xact_begin("changing the breaker"))
		return;
	mr_lock_partition(pipeline_id, LOCK_BREAKER);
	PushActiveSnapshot(GetTransactionSnapshot()); /* a long reason is out of line */
	rel = mr_catalog_open("breaker", RowExclusiveLock);
	*was_open = put(rel, pipeline_id, state, reason, sqlstate, next_probe);
	table_close(rel, NoLock);
	PopActiveSnapshot();
	mr_xact_commit();
}

bool
mr_breaker_table_open(int32 pipeline_id, const char *reason, int sqlstate, TimestampTz next_probe)
{
	bool was_open = true;

	set(pipeline_id, "open", reason, sqlstate, next_probe, &was_open);
	return !was_open;
}

void
mr_breaker_table_probe(int32 pipeline_id)
{
	bool was_open;

	set(pipeline_id, "half_open", NULL, 0, 0, &was_open);
}

bool
mr_breaker_table_close(int32 pipeline_id)
{
	bool was_open = false;

	set(pipeline_id, "closed", NULL, 0, 0, &was_open);
	return was_open;
}

bool
mr_breaker_table_is_open(int32 pipeline_id)
{
	Relation rel;
	HeapTuple tuple;
	bool open;

	if (!mr_xact_begin("looking at the breaker"))
		return false;
	rel = mr_catalog_open("breaker", AccessShareLock);
	tuple = fetch(rel, pipeline_id);
	open = !is_closed(tuple, RelationGetDescr(rel));
	table_close(rel, NoLock);
	mr_xact_commit();
	return open;
}

bool
mr_breaker_table_lasts(int32 pipeline_id, int sqlstate)
{
	MrFailure failure = {.stage = MR_STAGE_WRITE, .sqlstate = sqlstate, .message = ""};
	MrAction action;

	if (sqlstate == MR_ERRCODE_FAILURE_SHARE)
		return true;
	if (!mr_xact_begin("looking up an error class"))
		return false;
	action = mr_error_class_action(pipeline_id, &failure);
	mr_xact_commit();
	return action != MR_ACTION_RETRY;
}
