/*
 * decode_outside.c - see decode_outside.h
 *
 * A key or a header is bytes. As text they are read as a JSON string of the same characters would be; a field of type bytea
 * takes them as they are, one of json or jsonb as a document.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/staging_format.h"
#include "mb/pg_wchar.h"

#include "decode/decode_outside.h"

struct MrOutside
{
	const MrFields *fields;
	MrJsonPlan *key_plan; /* NULL: no field is inside the key */
	MrJsonSlot *key_slots;
	int *slot_of; /* field -> key_slots */
};

static void add_path(MrOutside *outside, int number);
static MrFailure *scan_key(MrOutside *outside, const MrDecodeAround *around);
static MrFailure *take_bytes(const MrField *field, const MrDecodeField *reader, const char *bytes,
							 int length, MrJsonSlot *slot);
static MrFailure *not_json(const MrField *field, const char *bytes, int length,
						   const MrJsonError *error);
static bool find_header(const bytea *headers, const MrField *field, MrHeader *found);
static bool is_integer(const MrDecodeField *reader);
static MrFailure *raw_bytes(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
static void *allocate(size_t size);

MrOutside *
mr_outside_create(const MrFields *fields)
{
	MrOutside *outside = NULL;

	for (int i = 0; i < fields->count; i++)
	{
		if (fields->fields[i].source == MR_FROM_PAYLOAD)
			continue;
		if (outside == NULL)
		{
			outside = palloc0(sizeof(MrOutside));
			outside->fields = fields;
			outside->slot_of = palloc0(sizeof(int) * fields->count);
		}
		if (fields->fields[i].source == MR_FROM_JSON_KEY)
			add_path(outside, i);
	}
	if (outside != NULL && outside->key_plan != NULL)
	{
		mr_json_plan_ready(outside->key_plan);
		outside->key_slots = palloc0(sizeof(MrJsonSlot) * mr_json_plan_slots(outside->key_plan));
	}
	return outside;
}

void
mr_outside_pick(const MrField *field, MrDecodeField *reader)
{
	if (field->source != MR_FROM_KEY && field->source != MR_FROM_HEADER)
		return;
	while (reader->convert == mr_convert_domain)
		reader = reader->base;
	if (reader->type_id == BYTEAOID)
		reader->convert = raw_bytes;
}

MrFailure *
mr_outside_fill(MrOutside *outside, const MrDecodeAround *around, const MrDecodeField *readers,
				MrJsonSlot *slots, const int *slot_of)
{
	MrFailure *failure = NULL;

	if (outside->key_plan != NULL)
		failure = scan_key(outside, around);
	for (int i = 0; i < outside->fields->count && failure == NULL; i++)
	{
		const MrField *field = &outside->fields->fields[i];
		MrJsonSlot *slot = &slots[slot_of[i]];
		MrHeader header;

		if (field->source == MR_FROM_PAYLOAD)
			continue;
		slot->kind = MR_JSON_MISSING;
		if (field->source == MR_FROM_JSON_KEY)
			*slot = outside->key_slots[outside->slot_of[i]];
		else if (field->source == MR_FROM_KEY && around->key != NULL)
			failure = take_bytes(field, &readers[i], VARDATA_ANY(around->key),
								 (int) VARSIZE_ANY_EXHDR(around->key), slot);
		else if (field->source == MR_FROM_HEADER && find_header(around->headers, field, &header))
		{
			if (header.value_length == MR_HEADER_NULL)
				slot->kind = MR_JSON_NULL;
			else
				failure = take_bytes(field, &readers[i], header.value, header.value_length, slot);
		}
	}
	return failure;
}

static void
add_path(MrOutside *outside, int number)
{
	const MrField *field = &outside->fields->fields[number];
	int node = 0;

	if (outside->key_plan == NULL)
		outside->key_plan = mr_json_plan_create(allocate);
	for (int i = 0; i < field->step_count; i++)
		node = field->steps[i].key != NULL
				   ? mr_json_plan_key(outside->key_plan, node, field->steps[i].key,
									  field->steps[i].key_length)
				   : mr_json_plan_index(outside->key_plan, node, field->steps[i].index);
	outside->slot_of[number] = mr_json_plan_take(outside->key_plan, node);
}

/* Without a key nothing is in it. */
static MrFailure *
scan_key(MrOutside *outside, const MrDecodeAround *around)
{
	MrJsonError error;
	const char *bytes;
	int length;

	if (around->key == NULL)
	{
		for (int i = 0; i < mr_json_plan_slots(outside->key_plan); i++)
			outside->key_slots[i].kind = MR_JSON_MISSING;
		return NULL;
	}
	bytes = VARDATA_ANY(around->key);
	length = (int) VARSIZE_ANY_EXHDR(around->key);
	if (mr_json_scan(outside->key_plan, bytes, length, outside->key_slots, &error))
		return NULL;
	return not_json(NULL, bytes, length, &error);
}

static MrFailure *
take_bytes(const MrField *field, const MrDecodeField *reader, const char *bytes, int length,
		   MrJsonSlot *slot)
{
	MrJsonError error;
	MrFailure *failure;
	char *copy;

	while (reader->convert == mr_convert_domain)
		reader = reader->base;
	if (reader->is_json)
		return mr_json_scan_whole(bytes, length, slot, &error)
				   ? NULL
				   : not_json(field, bytes, length, &error);
	slot->kind = MR_JSON_STRING;
	slot->flags = 0;
	slot->length = length;
	slot->start = bytes;
	if (reader->convert == raw_bytes)
		return NULL;
	/* converters may read as far as a NUL, which may be among the bytes, too */
	copy = palloc(length + 1);
	memcpy(copy, bytes, length);
	copy[length] = '\0';
	slot->start = copy;
	for (int i = 0; i < length; i++)
		if (IS_HIGHBIT_SET(bytes[i]))
			slot->flags = MR_JSON_NOT_ASCII;
	if (memchr(bytes, '\0', length) == NULL && pg_verify_mbstr(PG_UTF8, bytes, length, true))
		return NULL;
	failure = mr_decode_trouble(reader, slot, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
								"has bytes that are no text");
	failure->hint =
		is_integer(reader) && length > 0 && length <= 8
			? "Declare the field as bytea to take the bytes as they are; millrace.big_endian() "
			  "makes an integer of those that Java writes."
			: "Declare the field as bytea to take the bytes as they are.";
	return failure;
}

static bool
is_integer(const MrDecodeField *reader)
{
	return reader->type_id == INT2OID || reader->type_id == INT4OID || reader->type_id == INT8OID;
}

/* What the scanner says of a payload, of the key or a header. */
static MrFailure *
not_json(const MrField *field, const char *bytes, int length, const MrJsonError *error)
{
	MrFailure *failure = mr_decode_syntax(bytes, length, error);
	const char *what = field == NULL || field->source != MR_FROM_HEADER
						   ? "key"
						   : psprintf("header \"%s\"", field->header);

	failure->message = psprintf("%s%s", what, failure->message + strlen("payload"));
	failure->hint = NULL;
	if (field != NULL)
		failure->column_name = pstrdup(field->name);
	return failure;
}

/* Of the name, the one of that number, counting from 0, or the last one. */
static bool
find_header(const bytea *headers, const MrField *field, MrHeader *found)
{
	size_t length = strlen(field->header);
	MrHeaderReader reader;
	MrHeader header;
	bool any = false;
	int number = 0;

	if (headers == NULL)
		return false;
	reader = mr_headers_begin(VARDATA_ANY(headers), VARSIZE_ANY_EXHDR(headers));
	while (mr_headers_next(&reader, &header))
	{
		if ((size_t) header.name_length != length ||
			memcmp(header.name, field->header, length) != 0)
			continue;
		*found = header;
		any = field->header_number < 0 || number == field->header_number;
		if (number++ == field->header_number)
			break;
	}
	return any;
}

static MrFailure *
raw_bytes(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	bytea *result = palloc(slot->length + VARHDRSZ);

	SET_VARSIZE(result, slot->length + VARHDRSZ);
	memcpy(VARDATA(result), slot->start, slot->length);
	*value = PointerGetDatum(result);
	return NULL;
}

static void *
allocate(size_t size)
{
	return palloc0(size);
}
