/*
 * dead_letter.c: rows of millrace.dead_letter. Runs in workers, inside the batch's transaction.
 */
#include "postgres.h"

#include "fail/dead_letter.h"

#include "access/table.h"
#include "commands/sequence.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "access/htup_details.h"

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
set_failure(Datum *values, bool *nulls, const MrDefinition *definition, const MrEvent *event,
			TimestampTz now)
{
	static const char *const ends[] = {"permanent", "exhausted", "too_old", "crashed"};
	const MrFailure *failure = event->outcome.failure;

	values[MR_DEAD_LETTER_VERSION - 1] = Int32GetDatum(definition->version);
	set_text(values, nulls, MR_DEAD_LETTER_STAGE, mr_stage_name(failure->stage));
	set_text(values, nulls, MR_DEAD_LETTER_SQLSTATE, unpack_sql_state(failure->sqlstate));
	set_text(values, nulls, MR_DEAD_LETTER_MESSAGE, failure->message);
	set_text(values, nulls, MR_DEAD_LETTER_DETAIL, failure->detail);
	set_text(values, nulls, MR_DEAD_LETTER_HINT, failure->hint);
	set_text(values, nulls, MR_DEAD_LETTER_CONSTRAINT_NAME, failure->constraint_name);
	set_text(values, nulls, MR_DEAD_LETTER_COLUMN_NAME, failure->column_name);
	values[MR_DEAD_LETTER_FAILED_AT - 1] = TimestampTzGetDatum(now);
	set_text(values, nulls, MR_DEAD_LETTER_ENDED, ends[event->outcome.end]);
	values[MR_DEAD_LETTER_ATTEMPTS - 1] =
		Int32GetDatum((event->retry ? event->retry->attempts : 0) + Max(event->crashes, 1));
	values[MR_DEAD_LETTER_HISTORY - 1] = mr_retry_history(event, now);
	set_text(values, nulls, MR_DEAD_LETTER_STATE, "open");
}

static int64
insert(MrCatalogWriter *letters, const MrDefinition *definition, const MrEvent *event,
	   TimestampTz now)
{
	Datum values[MR_DEAD_LETTER_NATTS] = {0};
	bool nulls[MR_DEAD_LETTER_NATTS] = {false};
	TimestampTz kafka_ts = 0;
	int64 id = nextval_internal(mr_catalog_oid("dead_letter_id_seq"), false);
	HeapTuple tuple;

	values[MR_DEAD_LETTER_ID - 1] = Int64GetDatum(id);
	values[MR_DEAD_LETTER_PIPELINE_ID - 1] = Int32GetDatum(definition->pipeline_id);
	values[MR_DEAD_LETTER_TOPIC - 1] = mr_topics_place(definition->topics, event->partition).topic;
	values[MR_DEAD_LETTER_PARTITION - 1] = Int32GetDatum(event->partition);
	values[MR_DEAD_LETTER_OFFSET - 1] = Int64GetDatum(event->offset);
	nulls[MR_DEAD_LETTER_KAFKA_TS - 1] = !mr_timestamp_from_unix_ms(event->kafka_ts, &kafka_ts);
	values[MR_DEAD_LETTER_KAFKA_TS - 1] = TimestampTzGetDatum(kafka_ts);
	mr_catalog_set_bytes(values, nulls, MR_DEAD_LETTER_KEY, event->key);
	mr_catalog_set_bytes(values, nulls, MR_DEAD_LETTER_HEADERS, event->headers);
	mr_catalog_set_bytes(values, nulls, MR_DEAD_LETTER_PAYLOAD,
						 event->kind & MR_KIND_OVERSIZE ? NULL : event->payload);
	set_failure(values, nulls, definition, event, now);
	values[MR_DEAD_LETTER_FIRST_FAILED_AT - 1] =
		event->retry && !event->retry->parked ? TimestampTzGetDatum(event->retry->first_failed_at)
											  : values[MR_DEAD_LETTER_FAILED_AT - 1];
	values[MR_DEAD_LETTER_REPLAY_COUNT - 1] = Int32GetDatum(0);
	for (int column = MR_DEAD_LETTER_EDITED_PAYLOAD; column <= MR_DEAD_LETTER_NATTS; column++)
		nulls[column - 1] = true;
	nulls[MR_DEAD_LETTER_DOCUMENT - 1] = event->document == 0;
	values[MR_DEAD_LETTER_DOCUMENT - 1] = Int32GetDatum(event->document);
	tuple = heap_form_tuple(RelationGetDescr(letters->rel), values, nulls);
	mr_catalog_writer_insert(letters, tuple);
	heap_freetuple(tuple);
	return id;
}

/* The dead letter an event is a replay of; NULL when it was removed since. */
static HeapTuple
fetch(Relation rel, int64 id)
{
	ScanKeyData key;

	ScanKeyInit(&key, MR_DEAD_LETTER_ID, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(id));
	return mr_catalog_fetch_for_update(rel, "dead_letter_pkey", 1, &key);
}

static bool
reopen(MrCatalogWriter *letters, const MrDefinition *definition, const MrEvent *event,
	   TimestampTz now)
{
	Relation rel = letters->rel;
	static const int changed[] = {MR_DEAD_LETTER_VERSION,         MR_DEAD_LETTER_STAGE,
								  MR_DEAD_LETTER_SQLSTATE,        MR_DEAD_LETTER_MESSAGE,
								  MR_DEAD_LETTER_DETAIL,          MR_DEAD_LETTER_HINT,
								  MR_DEAD_LETTER_CONSTRAINT_NAME, MR_DEAD_LETTER_COLUMN_NAME,
								  MR_DEAD_LETTER_FAILED_AT,       MR_DEAD_LETTER_ENDED,
								  MR_DEAD_LETTER_ATTEMPTS,        MR_DEAD_LETTER_HISTORY,
								  MR_DEAD_LETTER_STATE,           MR_DEAD_LETTER_REPLAY_COUNT,
								  MR_DEAD_LETTER_PUBLISHED_AT,    MR_DEAD_LETTER_DLQ_PARTITION,
								  MR_DEAD_LETTER_DLQ_OFFSET,      MR_DEAD_LETTER_CHANGED_AT};
	HeapTuple old = fetch(rel, event->retry->replay_of);
	Datum values[MR_DEAD_LETTER_NATTS] = {0};
	bool nulls[MR_DEAD_LETTER_NATTS] = {false};
	bool replace[MR_DEAD_LETTER_NATTS] = {false};
	bool isnull;

	if (!HeapTupleIsValid(old))
		return false;
	set_failure(values, nulls, definition, event, now);
	values[MR_DEAD_LETTER_REPLAY_COUNT - 1] =
		Int32GetDatum(DatumGetInt32(heap_getattr(old, MR_DEAD_LETTER_REPLAY_COUNT,
												 RelationGetDescr(rel), &isnull)) +
					  1);
	/* It is published again, as another replay. */
	nulls[MR_DEAD_LETTER_PUBLISHED_AT - 1] = nulls[MR_DEAD_LETTER_DLQ_PARTITION - 1] =
		nulls[MR_DEAD_LETTER_DLQ_OFFSET - 1] = nulls[MR_DEAD_LETTER_CHANGED_AT - 1] = true;
	for (int i = 0; i < lengthof(changed); i++)
		replace[changed[i] - 1] = true;
	/*
	 * Of a message that was a letter as a whole, this document is what is left: the others have their own outcome. Its row of
	 * millrace.retry may say so since an earlier try: what counts is what the letter has.
	 */
	if (event->document > 0 && heap_attisnull(old, MR_DEAD_LETTER_DOCUMENT, RelationGetDescr(rel)))
	{
		replace[MR_DEAD_LETTER_PAYLOAD - 1] = replace[MR_DEAD_LETTER_DOCUMENT - 1] = true;
		mr_catalog_set_bytes(values, nulls, MR_DEAD_LETTER_PAYLOAD, event->payload);
		values[MR_DEAD_LETTER_DOCUMENT - 1] = Int32GetDatum(event->document);
	}
	mr_catalog_writer_update(letters, &old->t_self,
							 heap_modify_tuple(old, RelationGetDescr(rel), values, nulls, replace));
	return true;
}

int64
mr_dead_letter_put(MrCatalogWriter *letters, const MrDefinition *definition, const MrEvent *event,
				   TimestampTz now)
{
	if (event->retry == NULL || event->retry->replay_of == 0)
		return insert(letters, definition, event, now);
	return reopen(letters, definition, event, now) ? event->retry->replay_of : 0;
}

void
mr_dead_letter_replayed(MrCatalogWriter *letters, const MrEvent *event, TimestampTz now)
{
	Relation rel = letters->rel;
	HeapTuple old = fetch(rel, event->retry->replay_of);
	Datum values[MR_DEAD_LETTER_NATTS] = {0};
	bool nulls[MR_DEAD_LETTER_NATTS] = {false};
	bool replace[MR_DEAD_LETTER_NATTS] = {false};

	if (!HeapTupleIsValid(old))
		return;
	set_text(values, nulls, MR_DEAD_LETTER_STATE, "replayed");
	values[MR_DEAD_LETTER_CHANGED_AT - 1] = TimestampTzGetDatum(now);
	replace[MR_DEAD_LETTER_STATE - 1] = replace[MR_DEAD_LETTER_CHANGED_AT - 1] = true;
	mr_catalog_writer_update(letters, &old->t_self,
							 heap_modify_tuple(old, RelationGetDescr(rel), values, nulls, replace));
}

/* Whether the replay that an event is has come to its end: the letter is replayed, or open again. */
static bool
is_ended_replay(const MrEvent *event)
{
	return event->retry != NULL && event->retry->replay_of != 0 &&
		   event->outcome.state != MR_RETRYING && event->outcome.state != MR_PARKED &&
		   event->outcome.state != MR_DISCARDED; /* of a letter that held its key */
}

static void
append_aside(int32 pipeline_id, int32 partition, int64 letters)
{
	Relation rel = mr_catalog_open("dead_letter_aside", RowExclusiveLock);
	Datum values[MR_ASIDE_NATTS];
	bool nulls[MR_ASIDE_NATTS] = {false};

	values[MR_ASIDE_PIPELINE_ID - 1] = Int32GetDatum(pipeline_id);
	values[MR_ASIDE_PARTITION - 1] = Int32GetDatum(partition);
	values[MR_ASIDE_LETTERS - 1] = Int64GetDatum(letters);
	mr_catalog_insert(rel, heap_form_tuple(RelationGetDescr(rel), values, nulls));
	table_close(rel, NoLock);
}

void
mr_dead_letters_count_ended(int32 pipeline_id, const MrBatch *batch)
{
	int64 *ended = NULL; /* by place of the partition */

	for (int i = 0; i < batch->nevents; i++)
		if (unlikely(is_ended_replay(&batch->events[i])))
		{
			if (ended == NULL)
				ended = palloc0(batch->npartitions * sizeof(int64));
			ended[mr_event_partition(batch, &batch->events[i]) - batch->partitions]++;
		}
	if (ended == NULL)
		return;
	for (int i = 0; i < batch->npartitions; i++)
		if (ended[i] > 0)
			append_aside(pipeline_id, batch->partitions[i].partition, -ended[i]);
	pfree(ended);
}
