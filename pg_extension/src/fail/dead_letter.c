/*
 * dead_letter.c: rows of millrace.dead_letter. Runs in workers, inside the batch's transaction.
 */
#include "postgres.h"

#include "fail/dead_letter.h"

#include "commands/sequence.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "access/htup_details.h"
#include "access/xact.h"

#include "server/catalog.h"
#include "fail/retry.h"

static void
set_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column - 1] = text == NULL;
	if (text != NULL)
		values[column - 1] = CStringGetTextDatum(text);
}

/* The columns a failure determines. */
static void
set_failure(Datum *values, bool *nulls, const MrDefinition *definition, const MrEvent *event)
{
	static const char *const ends[] = {"permanent", "exhausted", "too_old", "crashed"};
	const MrFailure *failure = event->outcome.failure;

	values[MR_DEAD_VERSION - 1] = Int32GetDatum(definition->version);
	set_text(values, nulls, MR_DEAD_STAGE, mr_stage_name(failure->stage));
	set_text(values, nulls, MR_DEAD_SQLSTATE, unpack_sql_state(failure->sqlstate));
	set_text(values, nulls, MR_DEAD_MESSAGE, failure->message);
	set_text(values, nulls, MR_DEAD_DETAIL, failure->detail);
	set_text(values, nulls, MR_DEAD_HINT, failure->hint);
	set_text(values, nulls, MR_DEAD_CONSTRAINT_NAME, failure->constraint_name);
	set_text(values, nulls, MR_DEAD_COLUMN_NAME, failure->column_name);
	values[MR_DEAD_FAILED_AT - 1] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	set_text(values, nulls, MR_DEAD_ENDED, ends[event->outcome.end]);
	values[MR_DEAD_ATTEMPTS - 1] =
		Int32GetDatum((event->past ? event->past->attempts : 0) + Max(event->crashes, 1));
	values[MR_DEAD_HISTORY - 1] = mr_retry_history(event);
	set_text(values, nulls, MR_DEAD_STATE, "open");
}

static int64
insert(Relation rel, const MrDefinition *definition, const MrEvent *event)
{
	Datum values[MR_DEAD_NATTS] = {0};
	bool nulls[MR_DEAD_NATTS] = {false};
	TimestampTz kafka_ts = 0;
	int64 id = nextval_internal(mr_catalog_oid("dead_letter_id_seq"), false);
	HeapTuple tuple;

	values[MR_DEAD_ID - 1] = Int64GetDatum(id);
	values[MR_DEAD_PIPELINE_ID - 1] = Int32GetDatum(definition->pipeline_id);
	set_text(values, nulls, MR_DEAD_TOPIC, definition->topic);
	values[MR_DEAD_PARTITION - 1] = Int32GetDatum(event->partition);
	values[MR_DEAD_OFFSET - 1] = Int64GetDatum(event->offset);
	nulls[MR_DEAD_KAFKA_TS - 1] = !mr_timestamp_from_unix_ms(event->kafka_ts, &kafka_ts);
	values[MR_DEAD_KAFKA_TS - 1] = TimestampTzGetDatum(kafka_ts);
	mr_catalog_set_bytes(values, nulls, MR_DEAD_KEY, event->key);
	mr_catalog_set_bytes(values, nulls, MR_DEAD_HEADERS, event->headers);
	mr_catalog_set_bytes(values, nulls, MR_DEAD_PAYLOAD,
						 event->kind & MR_KIND_OVERSIZE ? NULL : event->payload);
	set_failure(values, nulls, definition, event);
	values[MR_DEAD_FIRST_FAILED_AT - 1] = event->past && !event->past->parked
											  ? TimestampTzGetDatum(event->past->first_failed_at)
											  : values[MR_DEAD_FAILED_AT - 1];
	values[MR_DEAD_REPLAY_COUNT - 1] = Int32GetDatum(0);
	for (int column = MR_DEAD_EDITED_PAYLOAD; column <= MR_DEAD_NATTS; column++)
		nulls[column - 1] = true;
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	mr_catalog_insert(rel, tuple);
	heap_freetuple(tuple);
	return id;
}

/* The dead letter an event is a replay of; NULL when it was removed meanwhile. */
static HeapTuple
fetch(Relation rel, int64 id)
{
	ScanKeyData key;

	ScanKeyInit(&key, MR_DEAD_ID, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(id));
	return mr_catalog_fetch_for_update(rel, "dead_letter_pkey", 1, &key);
}

static bool
reopen(Relation rel, const MrDefinition *definition, const MrEvent *event)
{
	static const int changed[] = {
		MR_DEAD_VERSION,    MR_DEAD_STAGE,        MR_DEAD_SQLSTATE,        MR_DEAD_MESSAGE,
		MR_DEAD_DETAIL,     MR_DEAD_HINT,         MR_DEAD_CONSTRAINT_NAME, MR_DEAD_COLUMN_NAME,
		MR_DEAD_FAILED_AT,  MR_DEAD_ENDED,        MR_DEAD_ATTEMPTS,        MR_DEAD_HISTORY,
		MR_DEAD_STATE,      MR_DEAD_REPLAY_COUNT, MR_DEAD_PUBLISHED_AT,    MR_DEAD_DLQ_PARTITION,
		MR_DEAD_DLQ_OFFSET, MR_DEAD_CHANGED_AT};
	HeapTuple old = fetch(rel, event->past->replay_of);
	Datum values[MR_DEAD_NATTS] = {0};
	bool nulls[MR_DEAD_NATTS] = {false};
	bool replace[MR_DEAD_NATTS] = {false};
	bool isnull;

	if (!HeapTupleIsValid(old))
		return false;
	set_failure(values, nulls, definition, event);
	values[MR_DEAD_REPLAY_COUNT - 1] = Int32GetDatum(
		DatumGetInt32(heap_getattr(old, MR_DEAD_REPLAY_COUNT, RelationGetDescr(rel), &isnull)) + 1);
	/* It goes out again, as another replay. */
	nulls[MR_DEAD_PUBLISHED_AT - 1] = nulls[MR_DEAD_DLQ_PARTITION - 1] =
		nulls[MR_DEAD_DLQ_OFFSET - 1] = nulls[MR_DEAD_CHANGED_AT - 1] = true;
	for (int i = 0; i < lengthof(changed); i++)
		replace[changed[i] - 1] = true;
	mr_catalog_update(rel, &old->t_self,
					  heap_modify_tuple(old, RelationGetDescr(rel), values, nulls, replace));
	return true;
}

int64
mr_dead_letter_put(Relation rel, const MrDefinition *definition, const MrEvent *event)
{
	if (event->past == NULL || event->past->replay_of == 0)
		return insert(rel, definition, event);
	return reopen(rel, definition, event) ? event->past->replay_of : 0;
}

void
mr_dead_letter_replayed(Relation rel, const MrEvent *event)
{
	HeapTuple old = fetch(rel, event->past->replay_of);
	Datum values[MR_DEAD_NATTS] = {0};
	bool nulls[MR_DEAD_NATTS] = {false};
	bool replace[MR_DEAD_NATTS] = {false};

	if (!HeapTupleIsValid(old))
		return;
	set_text(values, nulls, MR_DEAD_STATE, "replayed");
	values[MR_DEAD_CHANGED_AT - 1] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	replace[MR_DEAD_STATE - 1] = replace[MR_DEAD_CHANGED_AT - 1] = true;
	mr_catalog_update(rel, &old->t_self,
					  heap_modify_tuple(old, RelationGetDescr(rel), values, nulls, replace));
}
