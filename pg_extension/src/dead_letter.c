/*
 * dead_letter.c: rows of millrace.dead_letter. Runs in workers, inside the batch's transaction.
 */
#include "postgres.h"

#include "dead_letter.h"

#include "catalog/indexing.h"
#include "commands/sequence.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "access/htup_details.h"
#include "access/xact.h"

#include "catalog.h"
#include "segment.h"

static void
set_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column - 1] = text == NULL;
	if (text != NULL)
		values[column - 1] = CStringGetTextDatum(text);
}

static void
set_bytes(Datum *values, bool *nulls, int column, const bytea *bytes)
{
	nulls[column - 1] = bytes == NULL;
	values[column - 1] = PointerGetDatum(bytes);
}

void
mr_dead_letter_insert(Relation rel, const MrDefinition *definition, const MrEvent *event)
{
	const MrFailure *failure = event->failure;
	Datum values[MR_DEAD_NATTS];
	bool nulls[MR_DEAD_NATTS] = {false};
	HeapTuple tuple;

	values[MR_DEAD_ID - 1] = Int64GetDatum(nextval_internal(mr_catalog_oid("dead_letter_id_seq"), false));
	values[MR_DEAD_PIPELINE_ID - 1] = Int32GetDatum(definition->pipeline_id);
	values[MR_DEAD_VERSION - 1] = Int32GetDatum(definition->version);
	set_text(values, nulls, MR_DEAD_TOPIC, definition->topic);
	values[MR_DEAD_PARTITION - 1] = Int32GetDatum(event->partition);
	values[MR_DEAD_OFFSET - 1] = Int64GetDatum(event->offset);
	nulls[MR_DEAD_KAFKA_TS - 1] = event->kafka_ts < 0;
	values[MR_DEAD_KAFKA_TS - 1] = TimestampTzGetDatum(mr_timestamp_from_unix_ms(event->kafka_ts));
	set_bytes(values, nulls, MR_DEAD_KEY, event->key);
	set_bytes(values, nulls, MR_DEAD_HEADERS, event->headers);
	set_bytes(values, nulls, MR_DEAD_PAYLOAD, event->kind & MR_KIND_OVERSIZE ? NULL : event->payload);
	set_text(values, nulls, MR_DEAD_STAGE, mr_stage_name(failure->stage));
	set_text(values, nulls, MR_DEAD_SQLSTATE, unpack_sql_state(failure->sqlstate));
	set_text(values, nulls, MR_DEAD_MESSAGE, failure->message);
	set_text(values, nulls, MR_DEAD_DETAIL, failure->detail);
	set_text(values, nulls, MR_DEAD_HINT, failure->hint);
	set_text(values, nulls, MR_DEAD_CONSTRAINT_NAME, failure->constraint_name);
	set_text(values, nulls, MR_DEAD_COLUMN_NAME, failure->column_name);
	values[MR_DEAD_FAILED_AT - 1] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
}
