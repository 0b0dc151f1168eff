/*
 * decode_message.c - what is said of a payload that does not fit its fields
 *
 * field "value" of type double precision: found string "n/a-3f", expected a number
 *
 * A message names the field, its type and what was found, shortened and with everything unprintable
 * escaped: it is shown in tables, logs and terminals.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "decode/decode_field.h"

#define SHOWN_VALUE   60  /* characters of a value */
#define SHOWN_CONTEXT 30  /* of the document, before the place of an error */
#define SHOWN_MESSAGE 400 /* of an input function's message */

static char *describe(const MrJsonSlot *slot);
static char *print(const char *raw, int length, int max);
static const char *syntax_text(MrJsonErrorCode code);
static MrFailure *make(const MrDecodeField *field, int sqlstate, const char *message);

MrFailure *
mr_decode_wrong(const MrDecodeField *field, const MrJsonSlot *slot, int sqlstate,
				const char *expected)
{
	MrFailure *failure =
		make(field, sqlstate, psprintf("found %s, expected %s", describe(slot), expected));

	if (slot->kind == MR_JSON_ARRAY || slot->kind == MR_JSON_OBJECT)
		failure->hint = "Declare the field as jsonb, or give a PATH to the value inside.";
	return failure;
}

MrFailure *
mr_decode_trouble(const MrDecodeField *field, const MrJsonSlot *slot, int sqlstate,
				  const char *trouble)
{
	return make(field, sqlstate, psprintf("%s %s", describe(slot), trouble));
}

MrFailure *
mr_decode_refused(const MrDecodeField *field, const MrJsonSlot *slot, const ErrorData *edata)
{
	const char *message = edata->message != NULL ? edata->message : "missing error text";
	MrFailure *failure;

	if (slot != NULL && field->expected != NULL &&
		(edata->sqlerrcode == ERRCODE_INVALID_TEXT_REPRESENTATION ||
		 edata->sqlerrcode == ERRCODE_INVALID_DATETIME_FORMAT))
		return mr_decode_wrong(field, slot, edata->sqlerrcode, field->expected);
	if (slot != NULL && (edata->sqlerrcode == ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE ||
						 edata->sqlerrcode == ERRCODE_DATETIME_FIELD_OVERFLOW))
		failure = mr_decode_trouble(field, slot, edata->sqlerrcode, "is out of range");
	else if (strncmp(message, "invalid memory alloc request size", 33) == 0)
		failure = make(field, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "value is too large"); /* over 1 GB */
	else
		failure = make(field, edata->sqlerrcode, print(message, strlen(message), SHOWN_MESSAGE));
	if (edata->detail != NULL)
		failure->detail = print(edata->detail, strlen(edata->detail), SHOWN_MESSAGE);
	/* not the one about DateStyle, which nobody can change here */
	if (edata->hint != NULL && edata->sqlerrcode != ERRCODE_DATETIME_FIELD_OVERFLOW)
		failure->hint = pstrdup(edata->hint);
	if (edata->constraint_name != NULL)
		failure->constraint_name = pstrdup(edata->constraint_name);
	return failure;
}

MrFailure *
mr_decode_nul(const MrDecodeField *field, const MrJsonSlot *slot)
{
	MrFailure *failure = mr_decode_trouble(field, slot, ERRCODE_UNTRANSLATABLE_CHARACTER,
										   "has the character \\u0000");

	failure->detail = "PostgreSQL cannot store \\u0000 in text or jsonb.";
	return failure;
}

MrFailure *
mr_decode_syntax(const char *bytes, int length, const MrJsonError *error)
{
	int from = error->offset > SHOWN_CONTEXT ? error->offset - SHOWN_CONTEXT : 0;
	int sqlstate = error->code == MR_JSON_BAD_UTF8 ? ERRCODE_CHARACTER_NOT_IN_REPERTOIRE
												   : ERRCODE_INVALID_JSON_TEXT;
	MrFailure *failure;

	if (error->code == MR_JSON_BAD_EMPTY)
		return mr_failure_make(MR_STAGE_DECODE, sqlstate, "payload is empty");
	failure = mr_failure_make(MR_STAGE_DECODE, sqlstate, "payload is not JSON: %s at byte %d",
							  syntax_text(error->code), error->offset);
	/* begin with a whole character, unless it is the characters that are broken */
	while (from < error->offset && (bytes[from] & 0xc0) == 0x80)
		from++;
	if (error->offset > 0)
		failure->detail = psprintf("The error is after: %s%s", from > 0 ? "..." : "",
								   print(bytes + from, error->offset - from, SHOWN_CONTEXT));
	if (error->code == MR_JSON_BAD_TOKEN && error->offset == 0 && bytes[0] == '\0')
		failure->hint =
			"A payload that begins with a zero byte is usually framed for a schema "
			"registry. Of JSON: set format => 'confluent-json'. Avro and Protobuf are not read.";
	else if (error->code == MR_JSON_BAD_BOM)
		failure->hint = "Have the producer leave out the byte order mark (bytes EF BB BF).";
	return failure;
}

char *
mr_decode_cstring(const MrJsonSlot *slot, int *length)
{
	char *string = palloc((Size) slot->length + 1);

	if (slot->flags & MR_JSON_ESCAPED)
		*length = mr_json_unescape(slot->start, slot->length, string);
	else
	{
		memcpy(string, slot->start, slot->length);
		*length = slot->length;
	}
	string[*length] = '\0';
	return string;
}

static char *
describe(const MrJsonSlot *slot)
{
	switch ((MrJsonKind) slot->kind)
	{
		case MR_JSON_MISSING:
			return "nothing";
		case MR_JSON_NULL:
			return "null";
		case MR_JSON_FALSE:
			return "false";
		case MR_JSON_TRUE:
			return "true";
		case MR_JSON_NUMBER:
			return psprintf("number %s", print(slot->start, slot->length, SHOWN_VALUE));
		case MR_JSON_STRING:
			return psprintf("string \"%s\"", print(slot->start, slot->length, SHOWN_VALUE));
		case MR_JSON_ARRAY:
			return "an array";
		case MR_JSON_OBJECT:
			return "an object";
	}
	return "something"; /* not reached */
}

static char *
print(const char *raw, int length, int max)
{
	char *printed = palloc(MR_JSON_PRINT_SIZE(max));

	mr_json_print(raw, length, max, printed);
	return printed;
}

static const char *
syntax_text(MrJsonErrorCode code)
{
	switch (code)
	{
		case MR_JSON_FINE:
			return "nothing wrong";
		case MR_JSON_BAD_EMPTY:
			return "nothing there";
		case MR_JSON_BAD_BOM:
			return "byte order mark";
		case MR_JSON_BAD_END:
			return "it ends too early,";
		case MR_JSON_BAD_TOKEN:
			return "expected a value";
		case MR_JSON_BAD_KEY:
			return "expected a key in double quotes";
		case MR_JSON_BAD_COLON:
			return "expected \":\"";
		case MR_JSON_BAD_OBJECT:
			return "expected \",\" or \"}\"";
		case MR_JSON_BAD_ARRAY:
			return "expected \",\" or \"]\"";
		case MR_JSON_BAD_NUMBER:
			return "malformed number";
		case MR_JSON_BAD_CONTROL:
			return "control character in a string";
		case MR_JSON_BAD_ESCAPE:
			return "malformed escape";
		case MR_JSON_BAD_SURROGATE:
			return "half of a surrogate pair";
		case MR_JSON_BAD_UTF8:
			return "invalid UTF-8";
		case MR_JSON_BAD_DEPTH:
			return psprintf("nested more than %d levels deep", MR_JSON_MAX_DEPTH);
		case MR_JSON_BAD_TRAILING:
			return "something follows the document";
	}
	return "error"; /* not reached */
}

static MrFailure *
make(const MrDecodeField *field, int sqlstate, const char *message)
{
	MrFailure *failure;

	if (field->name == NULL)
		return mr_failure_make(MR_STAGE_DECODE, sqlstate, "payload as %s: %s", field->type_name,
							   message);
	failure = mr_failure_make(MR_STAGE_DECODE, sqlstate, "field \"%s\" of type %s: %s", field->name,
							  field->type_name, message);
	failure->column_name = pstrdup(field->name);
	return failure;
}
