/*
 * headers.c: packed Kafka headers (common/staging_format.h) as jsonb, for event.headers.
 */
#include "program/headers.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "common/staging_format.h"
#include "server/scratch.h"

typedef struct Reader
{
	const char *at;
	const char *end;
} Reader;

static bool
read_int32(Reader *reader, int32 *value)
{
	if (reader->end - reader->at < (ptrdiff_t) sizeof(*value))
		return false;
	*value = (int32) mr_get32(reader->at);
	reader->at += sizeof(*value);
	return true;
}

/* Bytes as text: themselves when they are UTF-8 without NUL, else in bytea's escape form. */
static void
set_text(JsonbValue *value, const char *bytes, int length)
{
	value->type = jbvString;
	if (memchr(bytes, 0, length) == NULL && pg_verify_mbstr(PG_UTF8, bytes, length, true))
	{
		value->val.string.val = pnstrdup(bytes, length);
		value->val.string.len = length;
	}
	else
	{
		bytea *copy = palloc(VARHDRSZ + length);

		SET_VARSIZE(copy, VARHDRSZ + length);
		memcpy(VARDATA(copy), bytes, length);
		value->val.string.val =
			TextDatumGetCString(DirectFunctionCall2(binary_encode, PointerGetDatum(copy),
													CStringGetTextDatum("escape")));
		value->val.string.len = (int) strlen(value->val.string.val);
	}
}

static bool
read_bytes(Reader *reader, JsonbValue *value)
{
	int32 length;

	if (!read_int32(reader, &length))
		return false;
	if (length < 0)
	{
		value->type = jbvNull;
		return true;
	}
	if (length > reader->end - reader->at)
		return false;
	set_text(value, reader->at, length);
	reader->at += length;
	return true;
}

static Jsonb *
build(const bytea *packed)
{
	Reader reader = {VARDATA_ANY(packed),
					 (const char *) VARDATA_ANY(packed) + VARSIZE_ANY_EXHDR(packed)};
	JsonbParseState *state = NULL;
	int32 count = 0;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (!read_int32(&reader, &count))
		count = 0;
	for (int32 i = 0; i < count; i++)
	{
		JsonbValue name;
		JsonbValue value;

		if (!read_bytes(&reader, &name) || name.type != jbvString || !read_bytes(&reader, &value))
			break;
		(void) pushJsonbValue(&state, WJB_KEY, &name);
		(void) pushJsonbValue(&state, WJB_VALUE, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

Datum
mr_headers_to_jsonb(const bytea *packed)
{
	MrScratch scratch = mr_scratch_enter();
	Jsonb *built = build(packed);
	Jsonb *result;

	mr_scratch_leave(&scratch);
	result = memcpy(palloc(VARSIZE(built)), built, VARSIZE(built));
	mr_scratch_free(&scratch);
	return JsonbPGetDatum(result);
}

PG_FUNCTION_INFO_V1(mr_headers);

/* millrace.headers(packed bytea) RETURNS jsonb */
Datum
mr_headers(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(mr_headers_to_jsonb(PG_GETARG_BYTEA_PP(0)));
}
