/*
 * event_relation.c: see event_relation.h. Runs in workers; its shape is also asked when a definition is
 * checked.
 */
#include "program/event_relation.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"
#include "program/headers.h"

enum /* columns behind the fields */
{
	PAYLOAD = 1,
	RAW,
	TOPIC,
	PARTITION,
	OFFSET,
	KEY,
	HEADERS,
	KAFKA_TS,
	NCOLUMNS = KAFKA_TS
};

static TupleDesc
make_columns(const MrFields *fields, bool with_ordinal)
{
	int n = fields->count;
	TupleDesc desc = CreateTemplateTupleDesc(n + NCOLUMNS + (with_ordinal ? 1 : 0));

	for (int i = 0; i < n; i++)
	{
		const MrField *field = &fields->fields[i];

		TupleDescInitEntry(desc, i + 1, field->name, field->type_id, field->typmod, 0);
		TupleDescInitEntryCollation(desc, i + 1, field->collation);
	}
	TupleDescInitEntry(desc, n + PAYLOAD, "payload", JSONBOID, -1, 0);
	TupleDescInitEntry(desc, n + RAW, "raw", BYTEAOID, -1, 0);
	TupleDescInitEntry(desc, n + TOPIC, "topic", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, n + PARTITION, "partition", INT4OID, -1, 0);
	TupleDescInitEntry(desc, n + OFFSET, "offset", INT8OID, -1, 0);
	TupleDescInitEntry(desc, n + KEY, "key", BYTEAOID, -1, 0);
	TupleDescInitEntry(desc, n + HEADERS, "headers", JSONBOID, -1, 0);
	TupleDescInitEntry(desc, n + KAFKA_TS, "kafka_ts", TIMESTAMPTZOID, -1, 0);
	if (with_ordinal)
		TupleDescInitEntry(desc, n + NCOLUMNS + 1, "ordinal", INT4OID, -1, 0);
	return desc;
}

MrEventRelation *
mr_event_relation_create(const char *fields, const char *topic)
{
	MrEventRelation *relation = palloc0(sizeof(MrEventRelation));

	relation->fields = mr_fields_parse(fields);
	relation->decoder = relation->fields->count > 0 ? mr_decoder_create(relation->fields) : NULL;
	relation->visible = make_columns(relation->fields, false);
	relation->full = make_columns(relation->fields, true);
	relation->topic = topic;
	relation->topic_datum = CStringGetTextDatum(topic);
	return relation;
}

static void
put(MrEvent *event, int column, Datum value)
{
	event->values[column - 1] = value;
	event->isnull[column - 1] = false;
}

/* The Kafka columns; they cannot fail. */
static void
put_coordinates(MrEventRelation *relation, MrEvent *event)
{
	int n = relation->fields->count;
	Bitmapset *used = relation->used;
	TimestampTz kafka_ts;

	if (event->payload && bms_is_member(n + RAW, used))
		put(event, n + RAW, PointerGetDatum(event->payload));
	if (bms_is_member(n + TOPIC, used))
		put(event, n + TOPIC, relation->topic_datum);
	put(event, n + PARTITION, Int32GetDatum(event->partition));
	put(event, n + OFFSET, Int64GetDatum(event->offset));
	if (event->key && bms_is_member(n + KEY, used))
		put(event, n + KEY, PointerGetDatum(event->key));
	if (event->headers && bms_is_member(n + HEADERS, used))
		put(event, n + HEADERS, mr_headers_to_jsonb(event->headers));
	if (mr_timestamp_from_unix_ms(event->kafka_ts, &kafka_ts))
		put(event, n + KAFKA_TS, TimestampTzGetDatum(kafka_ts));
}

MrFailure *
mr_event_relation_decode(MrEventRelation *relation, MrEvent *event)
{
	int n = relation->fields->count;
	MrFailure *failure = NULL;

	event->values = palloc((n + NCOLUMNS) * sizeof(Datum));
	event->isnull = palloc((n + NCOLUMNS) * sizeof(bool));
	memset(event->isnull + n, true, NCOLUMNS);
	if (relation->decoder != NULL)
		failure = mr_decode(relation->decoder, VARDATA_ANY(event->payload),
							VARSIZE_ANY_EXHDR(event->payload), event->values, event->isnull);
	if (failure == NULL && bms_is_member(n + PAYLOAD, relation->used))
	{
		Datum jsonb;

		failure = mr_json_to_jsonb(VARDATA_ANY(event->payload), VARSIZE_ANY_EXHDR(event->payload),
								   &jsonb);
		if (failure == NULL)
			put(event, n + PAYLOAD, jsonb);
	}
	if (failure == NULL)
		put_coordinates(relation, event);
	return failure;
}

void
mr_event_relation_put(MrEventRelation *relation, Tuplestorestate *store, const MrEvent *event,
					  int32 ordinal)
{
	Datum values[MaxTupleAttributeNumber];
	bool isnull[MaxTupleAttributeNumber];
	int n = relation->visible->natts;

	memcpy(values, event->values, n * sizeof(Datum));
	memcpy(isnull, event->isnull, n * sizeof(bool));
	values[n] = Int32GetDatum(ordinal);
	isnull[n] = false;
	tuplestore_putvalues(store, relation->full, values, isnull);
}
