/*
 * decode_text.c - text, varchar, bpchar, json, jsonb
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "decode/decode_field.h"

/* Bytes of JSON; jsonb's limits are at 256 MB of its own form. */
#define JSONB_SURELY_FITS (16 * 1024 * 1024)

static bool is_scalar(const MrJsonSlot *slot);
static MrFailure *convert_jsonb(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
static Datum jsonb_of(MrDecodeField *field, void *string);

MrFailure *
mr_convert_text(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	text *result;
	int length = slot->length;

	if (unlikely(slot->kind != MR_JSON_STRING && !is_scalar(slot)))
		return mr_decode_wrong(field, slot, ERRCODE_INVALID_TEXT_REPRESENTATION, "a string");
	if (unlikely(slot->flags & MR_JSON_HAS_NUL))
		return mr_decode_nul(field, slot);
	result = mr_decode_alloc(field, (Size) length + VARHDRSZ);
	if (unlikely(slot->flags & MR_JSON_ESCAPED))
		length = mr_json_unescape(slot->start, length, VARDATA(result));
	else
		memcpy(VARDATA(result), slot->start, length);
	SET_VARSIZE(result, length + VARHDRSZ);
	*value = PointerGetDatum(result);
	return NULL;
}

/* As varchar's input function: too long is an error, unless only spaces are cut off. */
MrFailure *
mr_convert_varchar(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	MrFailure *failure = mr_convert_text(field, slot, value);
	int limit = field->typmod - VARHDRSZ; /* characters */
	char *string;
	int length;
	int kept;

	if (failure != NULL || field->typmod < VARHDRSZ)
		return failure;
	string = VARDATA(DatumGetPointer(*value));
	length = VARSIZE(DatumGetPointer(*value)) - VARHDRSZ;
	if (length <= limit)
		return NULL;
	kept = pg_mbcharcliplen(string, length, limit);
	for (int i = kept; i < length; i++)
		if (string[i] != ' ')
			return mr_decode_trouble(field, slot, ERRCODE_STRING_DATA_RIGHT_TRUNCATION,
									 "is too long");
	SET_VARSIZE(DatumGetPointer(*value), kept + VARHDRSZ);
	return NULL;
}

MrFailure *
mr_convert_bpchar(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	MrFailure *failure = mr_convert_varchar(field, slot, value);
	int limit = field->typmod - VARHDRSZ;
	text *narrow;
	text *padded;
	int length;
	int missing;

	if (failure != NULL || field->typmod < VARHDRSZ)
		return failure;
	narrow = (text *) DatumGetPointer(*value);
	length = VARSIZE(narrow) - VARHDRSZ;
	missing = limit - pg_mbstrlen_with_len(VARDATA(narrow), length);
	if (missing <= 0)
		return NULL;
	padded = palloc((Size) length + missing + VARHDRSZ);
	memcpy(VARDATA(padded), VARDATA(narrow), length);
	memset(VARDATA(padded) + length, ' ', missing);
	SET_VARSIZE(padded, length + missing + VARHDRSZ);
	*value = PointerGetDatum(padded);
	return NULL;
}

MrFailure *
mr_convert_json(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	int quote = slot->kind == MR_JSON_STRING ? 1 : 0;

	*value =
		PointerGetDatum(cstring_to_text_with_len(slot->start - quote, slot->length + 2 * quote));
	return NULL;
}

/*
 * Numbers beyond anything sensible are refused although jsonb could hold some of them: a hundred
 * 1e131071 in a row are a kilobyte to store and thirteen megabytes each time the row is read.
 */
MrFailure *
mr_jsonb_refusal(const MrDecodeField *field, const MrJsonSlot *slot)
{
	if (slot->flags & MR_JSON_HAS_NUL)
		return mr_decode_nul(field, slot);
	if (slot->flags & MR_JSON_LONG_NUMBER)
		return mr_decode_trouble(field, slot, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
								 slot->kind == MR_JSON_NUMBER
									 ? "is out of range"
									 : "has a number that is out of range");
	return NULL;
}

MrFailure *
mr_convert_jsonb(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	return mr_decode_in_scratch(field, slot, convert_jsonb, value);
}

static MrFailure *
convert_jsonb(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	int quote = slot->kind == MR_JSON_STRING ? 1 : 0;
	MrFailure *failure = mr_jsonb_refusal(field, slot);
	char *string;

	if (failure != NULL)
		return failure;
	string = pnstrdup(slot->start - quote, slot->length + 2 * quote);
	/* what jsonb_in could still refuse: sheer size, and depth if the stack is kept small */
	if (slot->length > JSONB_SURELY_FITS || (slot->flags & MR_JSON_IS_DEEP))
		return mr_decode_guarded(field, NULL, jsonb_of, string, value);
	*value = jsonb_of(field, string);
	return NULL;
}

/* Numbers and booleans are texts as they are written. */
static bool
is_scalar(const MrJsonSlot *slot)
{
	return slot->kind == MR_JSON_NUMBER || slot->kind == MR_JSON_TRUE ||
		   slot->kind == MR_JSON_FALSE;
}

static Datum
jsonb_of(MrDecodeField *field, void *string)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum((char *) string));
}
