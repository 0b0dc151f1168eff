/*
 * format.c - formats as the engine sees them: names, columns of `event`, and what is said of a message that is not in its
 * format. Opening a message is format_envelope.c.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "decode/decode.h"
#include "decode/decode_field.h"
#include "decode/format.h"
#include "decode/format_cloudevents.h"
#include "decode/format_extensions.h"
#include "decode/format_values.h"

#define COLUMNS_MAX     9
#define LEFT_OUT_COLUMN 4 /* of debezium; those before it are parts */

typedef struct FormatKind
{
	const char *name;
	MrFormatKind kind;
	const char *form; /* of a message, as a sentence */
	int ncolumns;
	MrFormatColumn columns[COLUMNS_MAX];
} FormatKind;

struct MrFormat
{
	const FormatKind *kind;
	MrOpener *opener;
	MrFormatValues *values;             /* NULL: fields are read as they are written */
	const Bitmapset *takes_left_out;    /* fields, from 0 */
	MrArena arena;                      /* empty: each value is allocated by itself */
	MrDecodeField readers[COLUMNS_MAX]; /* of columns that are parts */
	MrDecodeField base64;
	MrReading reading;     /* of the parts: times as the specification has them, in RFC 3339 */
	MrReading base64_only; /* of data_base64, which says what it is */
};

static const FormatKind kinds[] = {
	{"confluent-json",
	 MR_FORMAT_CONFLUENT_JSON,
	 "With format \"confluent-json\" a message is a zero byte, four bytes of schema id, and JSON; "
	 "or JSON alone.",
	 1,
	 {{"schema_id", INT4OID}}},
	{"connect",
	 MR_FORMAT_CONNECT,
	 "With format \"connect\" a message is {\"schema\": ..., \"payload\": ...}; that of a "
	 "converter "
	 "with schemas.enable=false has format \"json\".",
	 1,
	 {{"schema", JSONBOID}}},
	{"debezium",
	 MR_FORMAT_DEBEZIUM,
	 "With format \"debezium\" a message is {\"op\": ..., \"before\": ..., \"after\": ..., "
	 "\"source\": ...}, alone or as the payload beside a schema; one that ExtractNewRecordState "
	 "has flattened has format \"json\" or \"connect\".",
	 5,
	 {{"op", TEXTOID},
	  {"before", JSONBOID},
	  {"after", JSONBOID},
	  {"source", JSONBOID},
	  {"unavailable", TEXTARRAYOID}}},
	{"cloudevents",
	 MR_FORMAT_CLOUDEVENTS,
	 "With format \"cloudevents\" a message is an object with specversion, id, source and type, or "
	 "has them as headers: ce_specversion, ce_id, ce_source and ce_type.",
	 9,
	 /* the attributes in the order of their parts */
	 {{"ce_id", TEXTOID},
	  {"ce_source", TEXTOID},
	  {"ce_specversion", TEXTOID},
	  {"ce_type", TEXTOID},
	  {"ce_subject", TEXTOID},
	  {"ce_time", TIMESTAMPTZOID},
	  {"ce_datacontenttype", TEXTOID},
	  {"ce_dataschema", TEXTOID},
	  {"ce_extensions", JSONBOID}}},
	{"ndjson",
	 MR_FORMAT_NDJSON,
	 "With format \"ndjson\" a message is JSON documents, each on a line of its own.",
	 1,
	 {{"document", INT4OID}}},
};

PG_FUNCTION_INFO_V1(mr_format_columns_sql);

static const FormatKind *kind_of(const char *name);
static void *allocate(size_t size);
static MrFailure *decode_base64(MrFormat *format, MrEnvelope *envelope);
static MrFailure *failure_of(const MrFormat *format, const MrEnvelope *envelope,
							 const MrEnvelopeProblem *problem, const bytea *payload);
static MrFailure *change_failure(const MrEnvelope *envelope, const MrEnvelopeProblem *problem);
static MrFailure *attribute_failure(const MrEnvelope *envelope, const MrEnvelopeProblem *problem);

bool
mr_format_kind(const char *name, MrFormatKind *kind)
{
	const FormatKind *found = kind_of(name);

	if (found != NULL)
		*kind = found->kind;
	return found != NULL;
}

MrFormat *
mr_format_create(const char *name)
{
	const FormatKind *kind = kind_of(name);
	MrFormat *format;

	if (kind == NULL)
		return NULL;
	format = palloc0(sizeof(MrFormat));
	format->kind = kind;
	format->opener = mr_opener_create(kind->kind, allocate);
	mr_reading_init(&format->reading);
	format->base64_only = format->reading;
	format->base64_only.bytea_format = MR_BYTEA_BASE64;
	for (int i = 0; i < kind->ncolumns; i++)
	{
		format->readers[i].reading = &format->reading;
		format->readers[i].name = kind->columns[i].name;
		format->readers[i].type_name = format_type_be(kind->columns[i].type_id);
		format->readers[i].arena = &format->arena;
		mr_decode_pick(&format->readers[i], kind->columns[i].type_id, -1);
	}
	format->base64.name = mr_cloudevent_part_name(MR_CE_DATA_BASE64);
	format->base64.type_name = "bytea";
	format->base64.reading = &format->base64_only;
	format->base64.arena = &format->arena;
	mr_decode_pick(&format->base64, BYTEAOID, -1);
	return format;
}

void
mr_format_attach(MrFormat *format, const MrFields *fields, MrDecoder *decoder)
{
	if (format != NULL &&
		(format->kind->kind == MR_FORMAT_CONNECT || format->kind->kind == MR_FORMAT_DEBEZIUM))
		format->values = mr_format_values_create(format->kind->kind, fields, decoder);
}

int
mr_format_left_out_column(const MrFormat *format)
{
	return format->kind->kind == MR_FORMAT_DEBEZIUM ? LEFT_OUT_COLUMN : -1;
}

void
mr_format_take_left_out(MrFormat *format, const Bitmapset *fields)
{
	format->takes_left_out = fields;
}

Bitmapset *
mr_format_left_out(const MrFormat *format)
{
	return format->values != NULL ? mr_format_values_left_out(format->values) : NULL;
}

bool
mr_format_has_documents(const MrFormat *format)
{
	return format->kind->kind == MR_FORMAT_NDJSON;
}

const MrFormatColumn *
mr_format_columns(const MrFormat *format, int *count)
{
	*count = format != NULL ? format->kind->ncolumns : 0;
	return format != NULL ? format->kind->columns : NULL;
}

MrFailure *
mr_format_open(MrFormat *format, const bytea *payload, const bytea *headers, MrEnvelope *envelope)
{
	MrEnvelopeProblem problem;
	MrFailure *failure;

	if (!mr_envelope_open(format->opener, VARDATA_ANY(payload), VARSIZE_ANY_EXHDR(payload),
						  headers != NULL ? VARDATA_ANY(headers) : NULL,
						  headers != NULL ? VARSIZE_ANY_EXHDR(headers) : 0, envelope, &problem))
		return failure_of(format, envelope, &problem, payload);
	if (format->values != NULL)
		mr_format_values_begin(format->values, envelope, format->takes_left_out);
	failure = decode_base64(format, envelope);
	if (envelope->absent)
	{
		envelope->document = "{}";
		envelope->length = 2;
	}
	return failure;
}

MrFailure *
mr_format_value(MrFormat *format, int column, const bytea *payload, const bytea *headers,
				const MrEnvelope *envelope, Datum *value, bool *isnull)
{
	const MrJsonSlot *part = &envelope->parts[column]; /* connect's, too, is the first */

	*value = (Datum) 0;
	switch (format->kind->kind)
	{
		case MR_FORMAT_CONFLUENT_JSON:
			*isnull = !envelope->has_schema_id;
			*value = Int32GetDatum((int32) envelope->schema_id);
			return NULL;
		case MR_FORMAT_CLOUDEVENTS:
			if (column == MR_CE_ATTRIBUTES)
			{
				*isnull = false;
				return mr_format_extensions(envelope->in_headers ? NULL : payload, headers, value);
			}
			break;
		case MR_FORMAT_DEBEZIUM:
			if (column == LEFT_OUT_COLUMN)
			{
				*isnull = format->values == NULL ||
						  !mr_format_values_name_left_out(format->values, value);
				return NULL;
			}
			break;
		case MR_FORMAT_NDJSON:
			*isnull = envelope->number == 0;
			*value = Int32GetDatum(envelope->number);
			return NULL;
		case MR_FORMAT_CONNECT:
			break;
	}
	*isnull = part->kind <= MR_JSON_NULL;
	return *isnull ? NULL : format->readers[column].convert(&format->readers[column], part, value);
}

void
mr_format_explain(const MrFormat *format, const MrEnvelope *envelope, MrFailure *failure)
{
	if (format->kind->kind != MR_FORMAT_CONFLUENT_JSON ||
		(failure->sqlstate != ERRCODE_INVALID_JSON_TEXT &&
		 failure->sqlstate != ERRCODE_CHARACTER_NOT_IN_REPERTOIRE))
		return;
	failure->hint =
		envelope->has_schema_id
			? psprintf("Bytes are counted behind the prefix of schema %u. If that schema is of "
					   "Avro or Protobuf: Millrace reads JSON.",
					   envelope->schema_id)
			: format->kind->form;
}

/* millrace.format_columns(format text) RETURNS text */
Datum
mr_format_columns_sql(PG_FUNCTION_ARGS)
{
	const FormatKind *kind = kind_of(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	StringInfoData list;

	if (kind == NULL)
		PG_RETURN_NULL();
	initStringInfo(&list);
	for (int i = 0; i < kind->ncolumns; i++)
		appendStringInfo(&list, "%s%s %s", i > 0 ? ", " : "",
						 quote_identifier(kind->columns[i].name),
						 format_type_be_qualified(kind->columns[i].type_id));
	PG_RETURN_TEXT_P(cstring_to_text(list.data));
}

static const FormatKind *
kind_of(const char *name)
{
	if (strcmp(name, "json") == 0)
		return NULL;
	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("format \"%s\" does not exist", name),
			 errhint("Formats are json, confluent-json, connect, debezium, cloudevents and "
					 "ndjson.")));
}

static void *
allocate(size_t size)
{
	return palloc0(size);
}

/* A CloudEvent's data_base64 is its document. */
static MrFailure *
decode_base64(MrFormat *format, MrEnvelope *envelope)
{
	const MrJsonSlot *part = &envelope->parts[MR_CE_DATA_BASE64];
	MrFailure *failure;
	Datum bytes;

	if (format->kind->kind != MR_FORMAT_CLOUDEVENTS || part->kind != MR_JSON_STRING)
		return NULL;
	failure = format->base64.convert(&format->base64, part, &bytes);
	if (failure != NULL)
		return failure;
	envelope->document = VARDATA_ANY(DatumGetPointer(bytes));
	envelope->length = VARSIZE_ANY_EXHDR(DatumGetPointer(bytes));
	envelope->absent = envelope->length == 0;
	return NULL;
}

static MrFailure *
failure_of(const MrFormat *format, const MrEnvelope *envelope, const MrEnvelopeProblem *problem,
		   const bytea *payload)
{
	const char *bytes = VARDATA_ANY(payload);
	int length = VARSIZE_ANY_EXHDR(payload);
	MrFailure *failure;

	switch (problem->code)
	{
		case MR_ENVELOPE_NOT_JSON:
			failure = mr_decode_syntax(bytes, length, &problem->syntax);
			break;
		case MR_ENVELOPE_NOT_OBJECT:
			failure = mr_failure_make(MR_STAGE_DECODE, ERRCODE_SQL_JSON_OBJECT_NOT_FOUND,
									  "payload is %s, expected an object",
									  mr_json_kind_name(problem->found));
			break;
		case MR_ENVELOPE_SHORT_PREFIX:
			failure =
				mr_failure_make(MR_STAGE_DECODE, ERRCODE_INVALID_BINARY_REPRESENTATION,
								"payload of %d bytes begins with a zero byte, but ends before "
								"the schema id does",
								length);
			break;
		case MR_ENVELOPE_NO_PAYLOAD:
			failure = mr_failure_make(MR_STAGE_DECODE, ERRCODE_SQL_JSON_MEMBER_NOT_FOUND,
									  "message has no key \"payload\"");
			break;
		case MR_ENVELOPE_NO_OP:
			failure = mr_failure_make(MR_STAGE_DECODE, ERRCODE_SQL_JSON_MEMBER_NOT_FOUND,
									  "message has no key \"op\"");
			break;
		case MR_ENVELOPE_BAD_OP:
		case MR_ENVELOPE_TRUNCATE:
		case MR_ENVELOPE_NO_ROW:
			return change_failure(envelope, problem);
		case MR_ENVELOPE_NOT_AN_EVENT:
			failure = mr_failure_make(MR_STAGE_DECODE, ERRCODE_SQL_JSON_MEMBER_NOT_FOUND,
									  "message is not a CloudEvent: it has neither the header "
									  "ce_specversion nor the key \"specversion\"");
			break;
		default:
			return attribute_failure(envelope, problem);
	}
	if (failure->hint == NULL)
		failure->hint = format->kind->form;
	return failure;
}

static MrFailure *
change_failure(const MrEnvelope *envelope, const MrEnvelopeProblem *problem)
{
	const MrJsonSlot *op = &envelope->parts[MR_DEBEZIUM_OP];
	char shown[MR_JSON_PRINT_SIZE(60)] = "";
	MrFailure *failure;

	if (op->kind == MR_JSON_STRING)
		mr_json_print(op->start, op->length, 60, shown);
	switch (problem->code)
	{
		case MR_ENVELOPE_TRUNCATE:
			failure = mr_failure_make(MR_STAGE_DECODE, ERRCODE_INVALID_PARAMETER_VALUE,
									  "the source table was truncated (op is \"t\")");
			failure->hint =
				"Truncate the target too if it is a copy, then discard this dead letter. "
				"The connector leaves such events out with skipped.operations=t.";
			return failure;
		case MR_ENVELOPE_NO_ROW:
			failure = mr_failure_make(MR_STAGE_DECODE, ERRCODE_SQL_JSON_OBJECT_NOT_FOUND,
									  "op is \"%s\", but \"%s\" is %s, expected an object", shown,
									  problem->part == MR_DEBEZIUM_BEFORE ? "before" : "after",
									  mr_json_kind_name(problem->found));
			if (problem->part == MR_DEBEZIUM_BEFORE)
				failure->hint = "Give the source table a primary key, or REPLICA IDENTITY FULL, so "
								"that its deletes say which row it was.";
			return failure;
		default:
			failure =
				mr_failure_make(MR_STAGE_DECODE, ERRCODE_INVALID_PARAMETER_VALUE,
								op->kind == MR_JSON_STRING
									? "op is \"%s\", expected c, r, u, d or t"
									: "op is %s, expected \"c\", \"r\", \"u\", \"d\" or \"t\"",
								op->kind == MR_JSON_STRING ? shown
														   : mr_json_kind_name(problem->found));
			return failure;
	}
}

static MrFailure *
attribute_failure(const MrEnvelope *envelope, const MrEnvelopeProblem *problem)
{
	const MrJsonSlot *part = &envelope->parts[problem->part];
	const char *name = mr_cloudevent_part_name(problem->part);
	char shown[MR_JSON_PRINT_SIZE(60)] = "";

	if (part->kind == MR_JSON_STRING)
		mr_json_print(part->start, part->length, 60, shown);
	switch (problem->code)
	{
		case MR_ENVELOPE_NO_ATTRIBUTE:
			return mr_failure_make(MR_STAGE_DECODE, ERRCODE_SQL_JSON_MEMBER_NOT_FOUND,
								   "attribute \"%s\" of the CloudEvent is missing or empty", name);
		case MR_ENVELOPE_BAD_ATTRIBUTE:
			return mr_failure_make(
				MR_STAGE_DECODE, ERRCODE_INVALID_TEXT_REPRESENTATION,
				part->kind == MR_JSON_STRING
					? "attribute \"%s\" of the CloudEvent is no text: \"%s\""
					: "attribute \"%s\" of the CloudEvent is %s, expected a string",
				name, part->kind == MR_JSON_STRING ? shown : mr_json_kind_name(problem->found));
		case MR_ENVELOPE_OTHER_VERSION:
			return mr_failure_make(MR_STAGE_DECODE, ERRCODE_INVALID_PARAMETER_VALUE,
								   "specversion of the CloudEvent is \"%s\", expected \"1.0\"",
								   shown);
		case MR_ENVELOPE_OTHER_MODE:
			return mr_failure_make(MR_STAGE_DECODE, ERRCODE_INVALID_PARAMETER_VALUE,
								   "content-type is \"%s\", expected application/cloudevents+json "
								   "or that of the data",
								   shown);
		case MR_ENVELOPE_DATA_TWICE:
			return mr_failure_make(MR_STAGE_DECODE, ERRCODE_INVALID_PARAMETER_VALUE,
								   "the CloudEvent has both data and data_base64");
		default:
			return mr_failure_make(MR_STAGE_DECODE, ERRCODE_INVALID_TEXT_REPRESENTATION,
								   "data_base64 of the CloudEvent is %s, expected a string",
								   mr_json_kind_name(problem->found));
	}
}
