/*
 * message_key.c: see message_key.h. Runs in workers; made where programs are made.
 */
#include "program/message_key.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "decode/decode.h"
#include "decode/format.h"

struct MrMessageKey
{
	int n;
	bool *isnull;      /* scratch: none ever is */
	int *place;        /* of each field in the conflict key */
	Datum *read;       /* scratch: in the order of the fields */
	MrDecoder *object; /* from a JSON object */
	MrDecoder *
		scalar; /* from a JSON string; NULL: several columns, or their place in the object is given */
	MrOpener *
		opener; /* of the envelope that the pipeline's format has around keys, too; NULL: it has none */
	bool is_bytea;       /* the one column */
	const char *columns; /* for messages */
};

static int
column_of(const char *name, const MrField *columns, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(columns[i].name, name) == 0)
			return i;
	return -1;
}

static const char *
list_names(const MrField *columns, int n)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < n; i++)
		appendStringInfo(&text, "%s%s", i > 0 ? ", " : "", quote_identifier(columns[i].name));
	return text.data;
}

/* The field list must give each column of the conflict key once, with its type in the target. */
static void
check_fields(const MrFields *fields, const MrField *columns, int n, const char *names)
{
	for (int i = 0; i < fields->count; i++)
	{
		const MrField *field = &fields->fields[i];
		int at = column_of(field->name, columns, n);

		if (at < 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("tombstone_key names column \"%s\", which is not in conflict_key",
							field->name),
					 errhint("Name these: %s.", names)));
		if (field->type_id != columns[at].type_id)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("tombstone_key reads column \"%s\" as %s, but the target has %s",
							field->name, format_type_be(field->type_id),
							format_type_be(columns[at].type_id)),
					 errhint("Write: %s %s.", quote_identifier(field->name),
							 format_type_with_typemod(columns[at].type_id, columns[at].typmod))));
	}
	if (fields->count != n)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("tombstone_key gives %d of the %d columns of conflict_key",
							   fields->count, n),
						errhint("Name all of them: %s.", names)));
}

/* A field of each column, found by its name or (whole) being all of the document. */
static MrFields *
default_fields(const MrField *columns, int n, bool whole)
{
	MrFields *fields = palloc0(sizeof(MrFields));

	fields->count = n;
	fields->fields = palloc0(n * sizeof(MrField));
	for (int i = 0; i < n; i++)
	{
		MrField *field = &fields->fields[i];

		*field = columns[i];
		get_typlenbyval(field->type_id, &field->typlen, &field->typbyval);
		if (whole)
			continue;
		field->steps = palloc0(sizeof(MrPathStep));
		field->steps->key = field->name;
		field->steps->key_length = (int) strlen(field->name);
		field->step_count = 1;
	}
	return fields;
}

static void *
allocate(size_t size)
{
	return palloc0(size);
}

/* Converters and serializers treat the key as they treat the value; a key of Debezium is of Connect's converter. */
static MrOpener *
create_opener(const char *format)
{
	MrFormatKind kind;

	if (!mr_format_kind(format, &kind))
		return NULL;
	switch (kind)
	{
		case MR_FORMAT_CONFLUENT_JSON:
			return mr_opener_create(MR_FORMAT_CONFLUENT_JSON, allocate);
		case MR_FORMAT_CONNECT:
		case MR_FORMAT_DEBEZIUM:
			return mr_opener_create(MR_FORMAT_CONNECT, allocate);
		case MR_FORMAT_CLOUDEVENTS:
		case MR_FORMAT_NDJSON:
			break;
	}
	return NULL;
}

MrMessageKey *
mr_message_key_create(const char *fields, const char *format, const MrReading *reading,
					  const MrField *columns, int n)
{
	MrMessageKey *reader = palloc0(sizeof(MrMessageKey));
	MrFields *list =
		fields != NULL ? mr_fields_parse(fields, reading) : default_fields(columns, n, false);

	reader->n = n;
	reader->columns = list_names(columns, n);
	reader->opener = fields == NULL ? create_opener(format) : NULL;
	if (fields != NULL)
		check_fields(list, columns, n, reader->columns);
	reader->isnull = palloc0(n * sizeof(bool));
	reader->read = palloc0(n * sizeof(Datum));
	reader->place = palloc(n * sizeof(int));
	for (int i = 0; i < n; i++)
	{
		list->fields[i].not_null = true; /* a key that lacks a column names no row */
		reader->place[i] = column_of(list->fields[i].name, columns, n);
	}
	reader->object = mr_decoder_create(list);
	if (n == 1 && fields == NULL)
	{
		MrFields *whole = default_fields(columns, n, true);

		whole->fields[0].not_null = true;
		reader->scalar = mr_decoder_create(whole);
		reader->is_bytea = columns[0].type_id == BYTEAOID;
	}
	return reader;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The first and the last byte that are no white space; 0 both: there is none. */
static void
find_ends(const char *bytes, int length, char *first, char *last)
{
	int from = 0;
	int to = length;

	while (from < to && is_space(bytes[from]))
		from++;
	while (to > from && is_space(bytes[to - 1]))
		to--;
	*first = from < to ? bytes[from] : '\0';
	*last = to - from > 1 ? bytes[to - 1] : '\0';
}

static bool
looks_like_json(const char *bytes, int length)
{
	char first;
	char last;

	find_ends(bytes, length, &first, &last);
	return (first == '{' && last == '}') || (first == '"' && last == '"');
}

/* The document of a key that has an envelope: true, and its range. */
static bool
open_envelope(MrMessageKey *reader, const char **bytes, int *length)
{
	MrEnvelope envelope;
	MrEnvelopeProblem problem;

	if (reader->opener == NULL ||
		!mr_envelope_open(reader->opener, *bytes, *length, NULL, 0, &envelope, &problem) ||
		envelope.absent ||
		(!envelope.has_schema_id && envelope.parts[MR_CONNECT_SCHEMA].kind == MR_JSON_MISSING))
		return false;
	if (reader->is_bytea && envelope.has_schema_id &&
		!looks_like_json(envelope.document, envelope.length))
		return false; /* bytes that begin with a zero, such as a number of Java's */
	*bytes = envelope.document;
	*length = envelope.length;
	return true;
}

/* Bytes that are no JSON string go through the same decoder, as one. */
static MrFailure *
read_scalar(MrMessageKey *reader, const char *bytes, int length, bool is_json)
{
	StringInfoData text;

	if (reader->is_bytea && !is_json)
	{
		reader->read[0] = PointerGetDatum(cstring_to_text_with_len(bytes, length));
		return NULL;
	}
	if (is_json)
		return mr_decode(reader->scalar, bytes, length, NULL, reader->read, reader->isnull);
	if (memchr(bytes, '\0', length) != NULL)
		return mr_failure_make(MR_STAGE_DECODE, ERRCODE_INVALID_TEXT_REPRESENTATION,
							   "the message key of a tombstone is binary, expected text or JSON");
	initStringInfo(&text);
	escape_json(&text, pnstrdup(bytes, length));
	return mr_decode(reader->scalar, text.data, text.len, NULL, reader->read, reader->isnull);
}

/* Says that the key is meant, and how else it may be read. */
static void
explain(MrMessageKey *reader, MrFailure *failure)
{
	failure->message = psprintf("message key of a tombstone: %s", failure->message);
	if (failure->hint == NULL)
		failure->hint = psprintf(
			"A tombstone deletes the row that its key names: conflict_key (%s). Say how it is read "
			"with millrace.alter_pipeline(..., tombstone_key => ...), a field list.",
			reader->columns);
}

MrFailure *
mr_message_key_read(MrMessageKey *reader, bytea *key, Datum *values)
{
	MrFailure *failure;
	const char *bytes;
	int length;
	bool opened;
	bool is_json;
	char first;
	char last;

	if (key == NULL)
		return mr_failure_make(MR_STAGE_DECODE, ERRCODE_NULL_VALUE_NOT_ALLOWED,
							   "a tombstone without a message key names no row");
	bytes = VARDATA_ANY(key);
	length = (int) VARSIZE_ANY_EXHDR(key);
	opened = open_envelope(reader, &bytes, &length);
	find_ends(bytes, length, &first, &last);
	/* a key of bytes is taken as it is, whatever it looks like */
	is_json = opened || (first == '"' && last == '"' && !reader->is_bytea);
	if (reader->scalar != NULL && !(first == '{' && last == '}'))
		failure = read_scalar(reader, bytes, length, is_json);
	else
		failure = mr_decode(reader->object, bytes, length, NULL, reader->read, reader->isnull);
	if (failure != NULL)
	{
		explain(reader, failure);
		return failure;
	}
	for (int i = 0; i < reader->n; i++)
		values[reader->place[i]] = reader->read[i];
	return NULL;
}
