/*
 * decode_sql.c - millrace.decode(fields, payload): try a field list on a payload
 *
 * The same decoder as the workers', for users and tests. The decoder is kept from call to call of one
 * expression.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "decode/decode.h"

PG_FUNCTION_INFO_V1(mr_decode_sql);

typedef struct DecodeCall
{
	MemoryContext context; /* holds this and all below */
	char *list;
	MrFields *fields;
	MrDecoder *decoder;
	TupleDesc row;
} DecodeCall;

static DecodeCall *prepare(FmgrInfo *flinfo, text *list);
static TupleDesc row_of(const MrFields *fields);
static Datum jsonb_of_row(TupleDesc row, Datum *values, bool *isnull);

/* millrace.decode(fields text, payload millrace.payload) RETURNS jsonb; a payload is what text and bytea are inside */
Datum
mr_decode_sql(PG_FUNCTION_ARGS)
{
	DecodeCall *call = prepare(fcinfo->flinfo, PG_GETARG_TEXT_PP(0));
	bytea *payload = PG_GETARG_BYTEA_PP(1);
	Datum *values = palloc0(sizeof(Datum) * Max(call->fields->count, 1));
	bool *isnull = palloc0(sizeof(bool) * Max(call->fields->count, 1));
	MrFailure *failure =
		mr_decode(call->decoder, VARDATA_ANY(payload), VARSIZE_ANY_EXHDR(payload), values, isnull);

	if (failure != NULL)
		mr_failure_raise(failure);
	return jsonb_of_row(call->row, values, isnull);
}

static DecodeCall *
prepare(FmgrInfo *flinfo, text *list)
{
	DecodeCall *call = flinfo->fn_extra;
	MemoryContext context;
	MemoryContext caller;

	if (call != NULL && strlen(call->list) == VARSIZE_ANY_EXHDR(list) &&
		memcmp(call->list, VARDATA_ANY(list), VARSIZE_ANY_EXHDR(list)) == 0)
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
	call->list = text_to_cstring(list);
	call->fields = mr_fields_parse(call->list);
	call->decoder = mr_decoder_create(call->fields);
	call->row = row_of(call->fields);
	MemoryContextSwitchTo(caller);
	flinfo->fn_extra = call;
	return call;
}

static TupleDesc
row_of(const MrFields *fields)
{
	TupleDesc row = CreateTemplateTupleDesc(fields->count);

	for (int i = 0; i < fields->count; i++)
	{
		const MrField *field = &fields->fields[i];

		TupleDescInitEntry(row, i + 1, field->name, field->type_id, field->typmod, 0);
		TupleDescInitEntryCollation(row, i + 1, field->collation);
	}
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
