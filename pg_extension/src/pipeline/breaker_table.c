/*
 * breaker_table.c: see breaker_table.h. Runs in workers; each writes rows of its own only.
 *
 * The pipeline is locked, so that a worker that the pipeline does not have any more leaves no row behind; the rows of a
 * pipeline are locked against each other by an advisory lock.
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
#include "pipeline/pipeline.h"

#define LOCK_BREAKER (-2) /* in the place of a partition: the breaker's rows */

static const char *
kind_name(MrBreakerKind kind)
{
	switch (kind)
	{
		case MR_BREAKER_OF_LANES:
			return "lane";
		case MR_BREAKER_OF_RETRIES:
			return "retry";
	}
	return "unknown"; /* not reached */
}

static const char *
state_name(MrBreakerState state)
{
	switch (state)
	{
		case MR_BREAKER_CLOSED:
			return "closed";
		case MR_BREAKER_OPEN:
			return "open";
		case MR_BREAKER_HALF_OPEN:
			return "half_open";
	}
	return "unknown"; /* not reached */
}

static HeapTuple
fetch(Relation rel, const MrBreakerRow *row)
{
	ScanKeyData keys[3];

	mr_key_int4(&keys[0], MR_BREAKER_PIPELINE_ID, row->pipeline_id);
	mr_key_text(&keys[1], MR_BREAKER_KIND, kind_name(row->kind));
	mr_key_int4(&keys[2], MR_BREAKER_WORKER, row->worker);
	return mr_catalog_fetch(rel, "breaker_pkey", lengthof(keys), keys, false);
}

static bool
is_closed(HeapTuple tuple, TupleDesc desc)
{
	return !HeapTupleIsValid(tuple) ||
		   strcmp(mr_catalog_text(tuple, MR_BREAKER_STATE, desc), "closed") == 0;
}

/* Since when the pipeline has trouble that another worker shows; 0: no other one does. */
static TimestampTz
others_since(Relation rel, const MrBreakerRow *row)
{
	TupleDesc desc = RelationGetDescr(rel);
	Relation index = index_open(mr_catalog_oid("breaker_pkey"), AccessShareLock);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	TimestampTz since = 0;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;

	mr_key_int4(&keys[0], MR_BREAKER_PIPELINE_ID, row->pipeline_id);
	mr_key_text(&keys[1], MR_BREAKER_KIND, kind_name(row->kind));
	scan = systable_beginscan_ordered(rel, index, snapshot, lengthof(keys), keys);
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan, ForwardScanDirection)))
		if (mr_catalog_int4(tuple, MR_BREAKER_WORKER, desc) != row->worker &&
			!is_closed(tuple, desc))
			since = mr_catalog_int8(tuple, MR_BREAKER_SINCE, desc, 0);
	systable_endscan_ordered(scan);
	UnregisterSnapshot(snapshot);
	index_close(index, AccessShareLock);
	return since;
}

/* A command that an earlier worker knew is that of the same trouble, still. */
static bool
is_same_trouble(HeapTuple old, TupleDesc desc, const MrBreakerCause *cause)
{
	const char *reason =
		HeapTupleIsValid(old) ? mr_catalog_text(old, MR_BREAKER_REASON, desc) : NULL;

	return reason != NULL && cause->reason != NULL && strcmp(reason, cause->reason) == 0;
}

/* What the row says of the trouble; `replace` has what the old one keeps. */
static void
fill_cause(const MrBreakerCause *cause, bool closes, bool is_same, Datum *values, bool *nulls,
		   bool *replace)
{
	bool keep = !closes && cause->reason == NULL;

	nulls[MR_BREAKER_REASON - 1] = nulls[MR_BREAKER_SQLSTATE - 1] = cause->reason == NULL || closes;
	nulls[MR_BREAKER_COMMAND - 1] = cause->command == NULL || closes;
	nulls[MR_BREAKER_NEXT_PROBE_AT - 1] = cause->next_probe == 0 || closes;
	values[MR_BREAKER_NEXT_PROBE_AT - 1] = TimestampTzGetDatum(cause->next_probe);
	if (!nulls[MR_BREAKER_REASON - 1])
	{
		values[MR_BREAKER_REASON - 1] = CStringGetTextDatum(cause->reason);
		values[MR_BREAKER_SQLSTATE - 1] = CStringGetTextDatum(unpack_sql_state(cause->sqlstate));
	}
	if (!nulls[MR_BREAKER_COMMAND - 1])
		values[MR_BREAKER_COMMAND - 1] = CStringGetTextDatum(cause->command);
	replace[MR_BREAKER_REASON - 1] = replace[MR_BREAKER_SQLSTATE - 1] = !keep;
	replace[MR_BREAKER_COMMAND - 1] = closes || (!keep && !(is_same && cause->command == NULL));
}

/* Writes the row. Open and half open take turns while trouble goes on; since when it does stays. */
static MrBreakerChange
put(Relation rel, const MrBreakerRow *row, MrBreakerState state, const MrBreakerCause *cause,
	TimestampTz trouble_of_others)
{
	TupleDesc desc = RelationGetDescr(rel);
	HeapTuple old = fetch(rel, row);
	bool was_closed = is_closed(old, desc);
	bool closes = state == MR_BREAKER_CLOSED;
	bool opens = was_closed && !closes;
	TimestampTz since = opens && trouble_of_others != 0 ? trouble_of_others : GetCurrentTimestamp();
	int64 opened = HeapTupleIsValid(old) ? mr_catalog_int8(old, MR_BREAKER_OPENED, desc, 0) : 0;
	Datum values[MR_BREAKER_NATTS] = {0};
	bool nulls[MR_BREAKER_NATTS] = {false};
	bool replace[MR_BREAKER_NATTS];
	MrBreakerChange change = {.happened = trouble_of_others == 0 && was_closed != closes};

	if (HeapTupleIsValid(old))
		change.since = mr_catalog_int8(old, MR_BREAKER_SINCE, desc, 0);
	memset(replace, true, sizeof(replace));
	values[MR_BREAKER_PIPELINE_ID - 1] = Int32GetDatum(row->pipeline_id);
	values[MR_BREAKER_WORKER - 1] = Int32GetDatum(row->worker);
	values[MR_BREAKER_KIND - 1] = CStringGetTextDatum(kind_name(row->kind));
	values[MR_BREAKER_STATE - 1] = CStringGetTextDatum(state_name(state));
	values[MR_BREAKER_SINCE - 1] = TimestampTzGetDatum(since);
	values[MR_BREAKER_OPENED - 1] =
		Int64GetDatum(opened + (opens && trouble_of_others == 0 ? 1 : 0));
	replace[MR_BREAKER_SINCE - 1] = was_closed != closes;
	fill_cause(cause, closes, is_same_trouble(old, desc, cause), values, nulls, replace);
	if (HeapTupleIsValid(old))
		CatalogTupleUpdate(rel, &old->t_self, heap_modify_tuple(old, desc, values, nulls, replace));
	else
		CatalogTupleInsert(rel, heap_form_tuple(desc, values, nulls));
	return change;
}

/* Locked until the end of the transaction. */
static bool
is_wanted(const MrBreakerRow *row)
{
	MrPipelineRow pipeline;

	mr_lock_pipeline(row->pipeline_id, ShareLock);
	return mr_pipeline_row_by_id(row->pipeline_id, &pipeline) && row->worker < pipeline.workers;
}

MrBreakerChange
mr_breaker_table_show(const MrBreakerRow *row, MrBreakerState state, const MrBreakerCause *cause)
{
	MrBreakerChange change = {0};

	if (!mr_xact_begin("changing the breaker"))
		return change;
	if (is_wanted(row))
	{
		Relation rel;

		mr_lock_partition(row->pipeline_id, LOCK_BREAKER);
		PushActiveSnapshot(GetTransactionSnapshot()); /* a long reason is out of line */
		rel = mr_catalog_open("breaker", RowExclusiveLock);
		change = put(rel, row, state, cause, others_since(rel, row));
		table_close(rel, NoLock);
		PopActiveSnapshot();
	}
	mr_xact_commit();
	return change;
}

/* Whether `test` is true of the row; false without one. */
static bool
ask(const MrBreakerRow *row, bool (*test)(HeapTuple tuple, TupleDesc desc))
{
	Relation rel;
	HeapTuple tuple;
	bool answer;

	if (!mr_xact_begin("looking at the breaker"))
		return false;
	rel = mr_catalog_open("breaker", AccessShareLock);
	tuple = fetch(rel, row);
	answer = HeapTupleIsValid(tuple) && test(tuple, RelationGetDescr(rel));
	table_close(rel, NoLock);
	mr_xact_commit();
	return answer;
}

static bool
is_not_closed(HeapTuple tuple, TupleDesc desc)
{
	return !is_closed(tuple, desc);
}

bool
mr_breaker_table_is_open(const MrBreakerRow *row)
{
	return ask(row, is_not_closed);
}

static bool
is_due(HeapTuple tuple, TupleDesc desc)
{
	return strcmp(mr_catalog_text(tuple, MR_BREAKER_STATE, desc), "open") == 0 &&
		   mr_catalog_int8(tuple, MR_BREAKER_NEXT_PROBE_AT, desc, DT_NOEND) <=
			   GetCurrentTimestamp();
}

bool
mr_breaker_table_is_due(const MrBreakerRow *row)
{
	return ask(row, is_due);
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
