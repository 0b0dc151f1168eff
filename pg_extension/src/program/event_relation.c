/*
 * event_relation.c: see event_relation.h. Runs in workers; its shape is also asked when a definition is
 * checked.
 */
#include "program/event_relation.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"
#include "program/header_list.h"
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
	HEADER_LIST,
	NCOLUMNS = HEADER_LIST
};

static TupleDesc
make_columns(const MrFields *fields, const MrFormat *format, bool with_ordinal)
{
	int n = fields->count;
	int of_format;
	const MrFormatColumn *columns = mr_format_columns(format, &of_format);
	TupleDesc desc = CreateTemplateTupleDesc(n + NCOLUMNS + of_format + (with_ordinal ? 1 : 0));

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
	TupleDescInitEntry(desc, n + HEADER_LIST, "header_list", mr_header_list_type(), -1, 0);
	for (int i = 0; i < of_format; i++)
		TupleDescInitEntry(desc, n + NCOLUMNS + i + 1, columns[i].name, columns[i].type_id, -1, 0);
	if (with_ordinal)
		TupleDescInitEntry(desc, n + NCOLUMNS + of_format + 1, "ordinal", INT4OID, -1, 0);
	return desc;
}

/* fields.c knows the names that come with every event; these come with those of a format. */
static void
check_names(const MrFields *fields, const MrFormat *format, const char *format_name)
{
	int n;
	const MrFormatColumn *columns = mr_format_columns(format, &n);

	for (int i = 0; i < fields->count; i++)
		for (int k = 0; k < n; k++)
			if (strcmp(fields->fields[i].name, columns[k].name) == 0)
				ereport(ERROR, (errcode(ERRCODE_RESERVED_NAME),
								errmsg("field name \"%s\" is reserved with format \"%s\"",
									   columns[k].name, format_name),
								errhint("Give the field another name and say where it is found, as "
										"in: event_%s text PATH '$.%s'.",
										columns[k].name, columns[k].name)));
}

MrEventRelation *
mr_event_relation_create(const MrDefinition *definition)
{
	MrEventRelation *relation = palloc0(sizeof(MrEventRelation));

	relation->format = mr_format_create(definition->format);
	relation->fields = mr_fields_parse(definition->fields, &definition->reading);
	check_names(relation->fields, relation->format, definition->format);
	relation->decoder = relation->fields->count > 0 ? mr_decoder_create(relation->fields) : NULL;
	if (relation->decoder != NULL)
		mr_format_attach(relation->format, relation->fields, relation->decoder);
	relation->visible = make_columns(relation->fields, relation->format, false);
	relation->full = make_columns(relation->fields, relation->format, true);
	relation->topics = definition->topics;
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
	MrPlace place = mr_topics_place(relation->topics, event->partition);
	TimestampTz kafka_ts;

	if (event->payload && bms_is_member(n + RAW, used))
		put(event, n + RAW, PointerGetDatum(event->payload));
	if (bms_is_member(n + TOPIC, used))
		put(event, n + TOPIC, place.topic);
	put(event, n + PARTITION, Int32GetDatum(place.partition));
	put(event, n + OFFSET, Int64GetDatum(event->offset));
	if (event->key && bms_is_member(n + KEY, used))
		put(event, n + KEY, PointerGetDatum(event->key));
	if (event->headers && bms_is_member(n + HEADERS, used))
		put(event, n + HEADERS, mr_headers_to_jsonb(event->headers));
	if (bms_is_member(n + HEADER_LIST, used))
		put(event, n + HEADER_LIST, mr_header_list(event->headers));
	if (mr_timestamp_from_unix_ms(event->kafka_ts, &kafka_ts))
		put(event, n + KAFKA_TS, TimestampTzGetDatum(kafka_ts));
}

/* The columns that the format adds, as far as the transform names them. */
static MrFailure *
put_format(MrEventRelation *relation, MrEvent *event, const MrEnvelope *envelope)
{
	int before = relation->fields->count + NCOLUMNS;
	int n;

	(void) mr_format_columns(relation->format, &n);
	for (int i = 0; i < n; i++)
	{
		MrFailure *failure;

		if (!bms_is_member(before + i + 1, relation->used))
			continue;
		failure = mr_format_value(relation->format, i, event->payload, event->headers, envelope,
								  &event->values[before + i], &event->isnull[before + i]);
		if (failure != NULL)
			return failure;
	}
	return NULL;
}

/* The fields and event.payload, of a document. */
static MrFailure *
put_document(MrEventRelation *relation, MrEvent *event, const char *bytes, int length,
			 bool has_payload)
{
	int n = relation->fields->count;
	MrFailure *failure = NULL;

	if (relation->decoder != NULL)
	{
		MrDecodeAround around = {event->key, event->headers};

		failure =
			mr_decode(relation->decoder, bytes, length, &around, event->values, event->isnull);
	}
	if (failure == NULL && has_payload && bms_is_member(n + PAYLOAD, relation->used))
	{
		Datum jsonb;

		failure = mr_json_to_jsonb(bytes, length, &jsonb);
		if (failure == NULL)
			put(event, n + PAYLOAD, jsonb);
	}
	return failure;
}

static MrFailure *
put_formatted(MrEventRelation *relation, MrEvent *event, bool *tombstone)
{
	MrEnvelope envelope;
	MrFailure *failure;

	mr_format_take_left_out(relation->format, relation->may_lack);
	failure = mr_format_open(relation->format, event->payload, event->headers, &envelope);
	if (failure != NULL)
		return failure;
	*tombstone = envelope.tombstone;
	if (*tombstone)
		return NULL;
	envelope.number = event->document;
	failure = put_document(relation, event, envelope.document, envelope.length, !envelope.absent);
	if (failure == NULL && relation->keeps)
		event->left_out = mr_format_left_out(relation->format);
	if (failure == NULL)
		return put_format(relation, event, &envelope);
	mr_format_explain(relation->format, &envelope, failure);
	return failure;
}

MrFailure *
mr_event_relation_decode(MrEventRelation *relation, MrEvent *event, bool *tombstone)
{
	int n = relation->visible->natts;
	MrFailure *failure;

	*tombstone = false;
	event->left_out = NULL;
	event->values = palloc(n * sizeof(Datum));
	event->isnull = palloc(n * sizeof(bool));
	memset(event->isnull, true, n);
	if (unlikely(relation->format != NULL))
		failure = put_formatted(relation, event, tombstone);
	else
		failure = put_document(relation, event, VARDATA_ANY(event->payload),
							   VARSIZE_ANY_EXHDR(event->payload), true);
	if (failure == NULL && !*tombstone)
		put_coordinates(relation, event);
	return failure;
}

AttrNumber
mr_event_relation_left_out_column(const MrEventRelation *relation)
{
	int column = relation->format != NULL ? mr_format_left_out_column(relation->format) : -1;

	return column >= 0 ? relation->fields->count + NCOLUMNS + column + 1 : InvalidAttrNumber;
}

void
mr_event_relation_coordinates(MrEventRelation *relation, MrEvent *event)
{
	int n = relation->visible->natts;

	event->values = palloc0(n * sizeof(Datum));
	event->isnull = palloc(n * sizeof(bool));
	memset(event->isnull, true, n * sizeof(bool));
	put_coordinates(relation, event);
}

void
mr_event_relation_unread(MrEventRelation *relation, const MrEvent *event, MrJsonReport report,
						 void *argument)
{
	int n = relation->fields->count;
	MrEnvelope envelope;

	if (relation->decoder == NULL || event->payload == NULL ||
		bms_is_member(n + PAYLOAD, relation->used) || bms_is_member(n + RAW, relation->used))
		return;
	if (relation->format == NULL)
		mr_decode_unread(relation->decoder, VARDATA_ANY(event->payload),
						 VARSIZE_ANY_EXHDR(event->payload), report, argument);
	else if (mr_format_open(relation->format, event->payload, event->headers, &envelope) == NULL &&
			 !envelope.tombstone)
		mr_decode_unread(relation->decoder, envelope.document, envelope.length, report, argument);
}

void
mr_event_relation_row(const MrEventRelation *relation, const MrEvent *event, int32 ordinal,
					  Datum *values, bool *isnull)
{
	int n = relation->visible->natts;

	memcpy(values, event->values, n * sizeof(Datum));
	memcpy(isnull, event->isnull, n * sizeof(bool));
	values[n] = Int32GetDatum(ordinal);
	isnull[n] = false;
}
