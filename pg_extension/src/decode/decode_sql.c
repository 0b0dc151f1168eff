/*
 * decode_sql.c - millrace.decode(fields, payload, format): try a field list on a payload
 *
 * The same decoder as the workers', for users and tests. The decoder is kept from call to call of one
 * expression.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "decode/decode.h"
#include "decode/format.h"

PG_FUNCTION_INFO_V1(mr_decode_sql);
PG_FUNCTION_INFO_V1(mr_decode_event);

typedef struct DecodeCall
{
	MemoryContext context; /* holds this and all below */
	char *list;
	char *format_name;
	MrFields *fields;
	MrFormat *format; /* NULL: json */
	int of_format;    /* columns that it adds, behind the fields */
	MrDecoder *decoder;
	TupleDesc row;
} DecodeCall;

static Datum decode_row(FunctionCallInfo fcinfo, text *list, bool with_payload);
static DecodeCall *prepare(FmgrInfo *flinfo, text *list, text *format, bool with_payload);
static bool is_text(const char *string, const text *other);
static MrFailure *decode(DecodeCall *call, const bytea *payload, Datum *values, bool *isnull);
static MrFailure *decode_document(DecodeCall *call, const char *bytes, int length, Datum *values,
								  bool *isnull);
static TupleDesc row_of(const DecodeCall *call, bool with_payload);
static Datum jsonb_of_row(TupleDesc row, Datum *values, bool *isnull);

/* millrace.decode(fields text, payload millrace.payload, format text) RETURNS jsonb; a payload is what text and bytea are inside */
Datum
mr_decode_sql(PG_FUNCTION_ARGS)
{
	return decode_row(fcinfo, PG_GETARG_TEXT_PP(0), false);
}

/* millrace.decode_event(fields text, payload bytea, format text): with event.payload; fields may be NULL */
Datum
mr_decode_event(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	return decode_row(fcinfo, PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0), true);
}

static Datum
decode_row(FunctionCallInfo fcinfo, text *list, bool with_payload)
{
	DecodeCall *call = prepare(fcinfo->flinfo, list, PG_GETARG_TEXT_PP(2), with_payload);
	bytea *payload = PG_GETARG_BYTEA_PP(1);
	Datum *values = palloc0(sizeof(Datum) * Max(call->row->natts, 1));
	bool *isnull = palloc0(sizeof(bool) * Max(call->row->natts, 1));
	MrFailure *failure = decode(call, payload, values, isnull);

	if (failure != NULL)
		mr_failure_raise(failure);
	return jsonb_of_row(call->row, values, isnull);
}

static DecodeCall *
prepare(FmgrInfo *flinfo, text *list, text *format, bool with_payload)
{
	DecodeCall *call = flinfo->fn_extra;
	MemoryContext context;
	MemoryContext caller;

	if (call != NULL && is_text(call->list, list) && is_text(call->format_name, format))
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
	call->list = list != NULL ? text_to_cstring(list) : NULL;
	call->format_name = text_to_cstring(format);
	call->format = mr_format_create(call->format_name);
	(void) mr_format_columns(call->format, &call->of_format);
	call->fields = mr_fields_parse(call->list);
	call->decoder = mr_decoder_create(call->fields);
	call->row = row_of(call, with_payload);
	MemoryContextSwitchTo(caller);
	flinfo->fn_extra = call;
	return call;
}

static bool
is_text(const char *string, const text *other)
{
	if (string == NULL || other == NULL)
		return string == NULL && other == NULL;
	return strlen(string) == VARSIZE_ANY_EXHDR(other) &&
		   memcmp(string, VARDATA_ANY(other), VARSIZE_ANY_EXHDR(other)) == 0;
}

/* The fields, then what the format adds, then event.payload. */
static MrFailure *
decode(DecodeCall *call, const bytea *payload, Datum *values, bool *isnull)
{
	int n = call->fields->count;
	MrEnvelope envelope;
	MrFailure *failure;

	if (call->format == NULL)
		return decode_document(call, VARDATA_ANY(payload), VARSIZE_ANY_EXHDR(payload), values,
							   isnull);
	failure = mr_format_open(call->format, payload, NULL, &envelope);
	if (failure != NULL)
		return failure;
	if (envelope.tombstone)
		return mr_failure_make(MR_STAGE_DECODE, ERRCODE_NULL_VALUE_NOT_ALLOWED,
							   "the message has no payload (a tombstone)");
	failure = decode_document(call, envelope.document, envelope.length, values, isnull);
	if (failure != NULL)
		mr_format_explain(call->format, &envelope, failure);
	for (int i = 0; i < call->of_format && failure == NULL; i++)
		failure = mr_format_value(call->format, i, payload, NULL, &envelope, &values[n + i],
								  &isnull[n + i]);
	return failure;
}

static MrFailure *
decode_document(DecodeCall *call, const char *bytes, int length, Datum *values, bool *isnull)
{
	MrFailure *failure = NULL;
	int last = call->row->natts - 1;

	if (call->fields->count > 0)
		failure = mr_decode(call->decoder, bytes, length, values, isnull);
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
