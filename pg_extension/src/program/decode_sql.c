/*
 * decode_sql.c - millrace.decode(): try a field list on a message; millrace.field_columns()
 *
 * The same decoder as the workers', for users and tests. The decoder is kept from call to call of one
 * expression. A field list may be that of a pipeline of others, and its DEFAULTs and domains run functions: they keep to the current
 * role (restricted.h).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "server/restricted.h"
#include "decode/decode.h"
#include "decode/format.h"
#include "decode/format_ndjson.h"
#include "program/header_list.h"

PG_FUNCTION_INFO_V1(mr_decode_sql);
PG_FUNCTION_INFO_V1(mr_decode_event);
PG_FUNCTION_INFO_V1(mr_field_columns);

#define FIRST_OPTION 3  /* arguments from here on are settings of the reading */
#define KEY          10 /* and these two belong to the message, as the payload does */
#define HEADERS      11

typedef struct DecodeCall
{
	MemoryContext context; /* holds this and all below */
	char *arguments;       /* all but the payload */
	MrReading reading;
	MrFields *fields;
	MrFormat *format; /* NULL: json */
	int of_format;    /* columns that it adds, behind the fields */
	MrDecoder *decoder;
	MrDecodeAround around; /* of the call at hand */
	TupleDesc row;
} DecodeCall;

static Datum decode_row(FunctionCallInfo fcinfo, text *list, bool with_payload);
static DecodeCall *prepare(FunctionCallInfo fcinfo, text *list, bool with_payload);
static char *arguments_of(FunctionCallInfo fcinfo);
static void set_reading(FunctionCallInfo fcinfo, MrReading *reading);
static Datum decode_documents(DecodeCall *call, const bytea *payload);
static Datum decode_one(DecodeCall *call, const bytea *payload, int number);
static MrFailure *decode(DecodeCall *call, const bytea *payload, int number, Datum *values,
						 bool *isnull);
static MrFailure *decode_document(DecodeCall *call, const char *bytes, int length, Datum *values,
								  bool *isnull);
static TupleDesc row_of(const DecodeCall *call, bool with_payload);
static Datum jsonb_of_row(TupleDesc row, Datum *values, bool *isnull);

/* millrace.decode(fields text, payload millrace.payload, format text, ...) RETURNS jsonb; a payload is what text and bytea are inside */
Datum
mr_decode_sql(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	return decode_row(fcinfo, PG_GETARG_TEXT_PP(0), false);
}

/* millrace.decode_event(fields text, payload millrace.payload, format text, ...): with event.payload; fields may be NULL */
Datum
mr_decode_event(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	return decode_row(fcinfo, PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0), true);
}

static Datum
decode_row(FunctionCallInfo fcinfo, text *list, bool with_payload)
{
	MrRestricted before = mr_restrict();
	int nest = NewGUCNestLevel();
	DecodeCall *call = prepare(fcinfo, list, with_payload);
	bytea *payload = PG_GETARG_BYTEA_PP(1);
	Datum result;

	/* values are read, and shown, whatever the session's settings are */
	mr_reading_pin(&call->reading);
	call->around.key = PG_ARGISNULL(KEY) ? NULL : PG_GETARG_BYTEA_PP(KEY);
	call->around.headers =
		PG_ARGISNULL(HEADERS) ? NULL : mr_headers_pack(PG_GETARG_JSONB_P(HEADERS));
	if (call->format != NULL && mr_format_has_documents(call->format))
		result = decode_documents(call, payload);
	else
		result = decode_one(call, payload, 0);
	AtEOXact_GUC(false, nest);
	mr_unrestrict(&before);
	return result;
}

/* millrace.field_columns(fields text) RETURNS text */
Datum
mr_field_columns(PG_FUNCTION_ARGS)
{
	MrReading reading;
	MrFields *fields;
	StringInfoData columns;
	MrRestricted before;
	int nest;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	before = mr_restrict();
	nest = NewGUCNestLevel();
	mr_reading_init(&reading);
	mr_reading_pin(&reading);
	fields = mr_fields_parse(text_to_cstring(PG_GETARG_TEXT_PP(0)), &reading);
	AtEOXact_GUC(false, nest);
	mr_unrestrict(&before);
	initStringInfo(&columns);
	for (int i = 0; i < fields->count; i++)
		appendStringInfo(&columns, "%s%s %s", i > 0 ? ", " : "",
						 quote_identifier(fields->fields[i].name),
						 format_type_be(fields->fields[i].type_id));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(columns.data, columns.len));
}

static DecodeCall *
prepare(FunctionCallInfo fcinfo, text *list, bool with_payload)
{
	FmgrInfo *flinfo = fcinfo->flinfo;
	DecodeCall *call = flinfo->fn_extra;
	char *arguments = arguments_of(fcinfo);
	MemoryContext context;
	MemoryContext caller;

	if (call != NULL && strcmp(call->arguments, arguments) == 0)
		return call;
	if (call != NULL)
	{
		flinfo->fn_extra = NULL;
		MemoryContextDelete(call->context);
	}
	context = AllocSetContextCreate(flinfo->fn_mcxt, "millrace decode", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(context);
	call = palloc0(sizeof(DecodeCall));
	call->context = context;
	call->arguments = pstrdup(arguments);
	set_reading(fcinfo, &call->reading);
	mr_reading_pin(&call->reading);
	call->format = mr_format_create(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	(void) mr_format_columns(call->format, &call->of_format);
	call->fields = mr_fields_parse(list != NULL ? text_to_cstring(list) : NULL, &call->reading);
	call->decoder = mr_decoder_create(call->fields);
	mr_format_attach(call->format, call->fields, call->decoder);
	if (call->format != NULL)
		mr_format_take_left_out(call->format, bms_add_range(NULL, 0, call->fields->count - 1));
	call->row = row_of(call, with_payload);
	MemoryContextSwitchTo(caller);
	flinfo->fn_extra = call;
	return call;
}

/* An array with what each document of a message gives. */
static Datum
decode_documents(DecodeCall *call, const bytea *payload)
{
	JsonbParseState *state = NULL;
	MrNdjson message;
	const char *document;
	int length;

	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	mr_ndjson_begin(&message, VARDATA_ANY(payload), (int) VARSIZE_ANY_EXHDR(payload));
	for (int number = 1; mr_ndjson_next(&message, &document, &length); number++)
	{
		const bytea *bytes = (bytea *) cstring_to_text_with_len(document, length);
		JsonbValue object;

		CHECK_FOR_INTERRUPTS();
		JsonbToJsonbValue(DatumGetJsonbP(decode_one(call, bytes, number)), &object);
		(void) pushJsonbValue(&state, WJB_ELEM, &object);
	}
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL)));
}

static Datum
decode_one(DecodeCall *call, const bytea *payload, int number)
{
	Datum *values = palloc0(sizeof(Datum) * Max(call->row->natts, 1));
	bool *isnull = palloc0(sizeof(bool) * Max(call->row->natts, 1));
	MrFailure *failure = decode(call, payload, number, values, isnull);

	if (failure != NULL && number > 0 && failure->detail == NULL)
		failure->detail = psprintf("It is document %d of the message.", number);
	if (failure != NULL)
		mr_failure_raise(failure);
	return jsonb_of_row(call->row, values, isnull);
}

/* All but the message, in one. */
static char *
arguments_of(FunctionCallInfo fcinfo)
{
	StringInfoData all;

	initStringInfo(&all);
	for (int i = 0; i < Min(PG_NARGS(), KEY); i++)
		if (i != 1 && !PG_ARGISNULL(i))
			appendStringInfo(&all, "%d %s\n", i, text_to_cstring(PG_GETARG_TEXT_PP(i)));
	return all.data;
}

static void
set_reading(FunctionCallInfo fcinfo, MrReading *reading)
{
	static const char *const options[] = {"date_order",    "time_zone", "other_zone",
										  "bytea_format",  "epoch",     "number_style",
										  "interval_style"};

	mr_reading_init(reading);
	for (int i = 0; i < lengthof(options) && FIRST_OPTION + i < Min(PG_NARGS(), KEY); i++)
		if (!PG_ARGISNULL(FIRST_OPTION + i))
			mr_reading_set_or_raise(reading, options[i],
									text_to_cstring(PG_GETARG_TEXT_PP(FIRST_OPTION + i)));
}

/* The fields, then what the format adds, then event.payload. */
static MrFailure *
decode(DecodeCall *call, const bytea *payload, int number, Datum *values, bool *isnull)
{
	int n = call->fields->count;
	MrEnvelope envelope;
	MrFailure *failure;

	if (call->format == NULL)
		return decode_document(call, VARDATA_ANY(payload), VARSIZE_ANY_EXHDR(payload), values,
							   isnull);
	failure = mr_format_open(call->format, payload, call->around.headers, &envelope);
	if (failure != NULL)
		return failure;
	envelope.number = number;
	if (envelope.tombstone)
		return mr_failure_make(MR_STAGE_DECODE, ERRCODE_NULL_VALUE_NOT_ALLOWED,
							   "the message has no payload (a tombstone)");
	failure = decode_document(call, envelope.document, envelope.length, values, isnull);
	if (failure != NULL)
		mr_format_explain(call->format, &envelope, failure);
	for (int i = 0; i < call->of_format && failure == NULL; i++)
		failure = mr_format_value(call->format, i, payload, call->around.headers, &envelope,
								  &values[n + i], &isnull[n + i]);
	return failure;
}

static MrFailure *
decode_document(DecodeCall *call, const char *bytes, int length, Datum *values, bool *isnull)
{
	MrFailure *failure = NULL;
	int last = call->row->natts - 1;

	if (call->fields->count > 0)
		failure = mr_decode(call->decoder, bytes, length, &call->around, values, isnull);
	if (failure == NULL && last >= call->fields->count + call->of_format)
		failure = mr_json_to_jsonb(bytes, length, &values[last]);
	return failure;
}

static TupleDesc
row_of(const DecodeCall *call, bool with_payload)
{
	int n = call->fields->count;
	int of_format;
	const MrFormatColumn *columns = mr_format_columns(call->format, &of_format);
	TupleDesc row = CreateTemplateTupleDesc(n + of_format + (with_payload ? 1 : 0));

	for (int i = 0; i < n; i++)
	{
		const MrField *field = &call->fields->fields[i];

		TupleDescInitEntry(row, i + 1, field->name, field->type_id, field->typmod, 0);
		TupleDescInitEntryCollation(row, i + 1, field->collation);
	}
	for (int i = 0; i < of_format; i++)
		TupleDescInitEntry(row, n + i + 1, columns[i].name, columns[i].type_id, -1, 0);
	if (with_payload)
		TupleDescInitEntry(row, n + of_format + 1, "payload", JSONBOID, -1, 0);
	return BlessTupleDesc(row);
}

/* By way of json's text: to_jsonb() would want a type that is known when the call is planned. */
static Datum
jsonb_of_row(TupleDesc row, Datum *values, bool *isnull)
{
	Datum tuple = HeapTupleGetDatum(heap_form_tuple(row, values, isnull));
	Datum json = DirectFunctionCall1(row_to_json, tuple);

	return DirectFunctionCall1(jsonb_in, CStringGetDatum(TextDatumGetCString(json)));
}
