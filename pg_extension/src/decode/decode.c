/*
 * decode.c - the typed decoder: scan once, then convert what was found
 *
 * Used by the workers for each event, and by millrace.decode(). A decoder belongs to one backend and one
 * memory context; it keeps no state from event to event but the order of keys last seen.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "decode/decode.h"
#include "decode/decode_field.h"
#include "decode/decode_outside.h"
#include "decode/json_scan_plan.h"

#define LARGEST_ARENA (64 * 1024) /* bytes; an event with more gets its values one by one */

struct MrDecoder
{
	const MrFields *fields;
	MrDecodeField *readers; /* one per field */
	int *slot_of;           /* field -> slot */
	MrJsonPlan *plan;
	MrJsonSlot *slots;
	MrOutside *outside; /* NULL: all fields are in the payload */
	bool in_payload;    /* some are */
	MrArena arena;
	bool want_object; /* what the document must be, when all paths begin with a key or index */
	bool want_array;
	const MrDecodeRules *rules; /* NULL: none */
	int kept;                   /* field that is read even when another one cannot be; -1: none */
};

static void add_path(MrDecoder *decoder, int number);
static bool is_of_shape(const MrDecoder *decoder, const char *bytes, int length);
static MrFailure *wrong_shape(const MrDecoder *decoder, const char *bytes, int length);
static void open_arena(MrDecoder *decoder);
static void read_kept(MrDecoder *decoder, int failed, Datum *values, bool *isnull);
static MrFailure *convert_by_rules(MrDecoder *decoder, int i, const MrJsonSlot *found, Datum *value,
								   bool *isnull);
static MrFailure *absent(MrDecodeField *reader, const MrField *field, const MrJsonSlot *slot,
						 Datum *value, bool *isnull);
static void *allocate(size_t size);

MrDecoder *
mr_decoder_create(const MrFields *fields)
{
	MrDecoder *decoder = palloc0(sizeof(MrDecoder));
	int outside = 0;
	int nslots;

	if (GetDatabaseEncoding() != PG_UTF8)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("millrace needs a database with encoding UTF8, this one has %s",
							   GetDatabaseEncodingName())));
	decoder->fields = fields;
	decoder->kept = -1;
	decoder->plan = mr_json_plan_create(allocate);
	decoder->readers = palloc0(sizeof(MrDecodeField) * Max(fields->count, 1));
	decoder->slot_of = palloc0(sizeof(int) * Max(fields->count, 1));
	for (int i = 0; i < fields->count; i++)
	{
		const MrField *field = &fields->fields[i];
		MrDecodeField *reader = &decoder->readers[i];

		reader->arena = &decoder->arena;
		reader->name = field->name;
		reader->reading = &field->reading;
		reader->type_name = format_type_with_typemod(field->type_id, field->typmod);
		mr_decode_pick(reader, field->type_id, field->typmod);
		mr_outside_pick(field, reader);
		if (field->source == MR_FROM_PAYLOAD)
			add_path(decoder, i);
		else
			outside++;
	}
	mr_json_plan_ready(decoder->plan);
	nslots = mr_json_plan_slots(decoder->plan);
	decoder->in_payload = nslots > 0;
	decoder->outside = mr_outside_create(fields);
	decoder->slots = palloc0(sizeof(MrJsonSlot) * Max(nslots + outside, 1));
	for (int i = 0; i < fields->count; i++)
		if (fields->fields[i].source != MR_FROM_PAYLOAD)
			decoder->slot_of[i] = nslots++;
	return decoder;
}

MrFailure *
mr_decode(MrDecoder *decoder, const char *bytes, int length, const MrDecodeAround *around,
		  Datum *values, bool *isnull)
{
	const MrFields *fields = decoder->fields;
	MrJsonError error;

	if (likely(decoder->in_payload))
	{
		if (unlikely(!mr_json_scan(decoder->plan, bytes, length, decoder->slots, &error)))
			return mr_decode_syntax(bytes, length, &error);
		if (unlikely(!is_of_shape(decoder, bytes, length)))
			return wrong_shape(decoder, bytes, length);
	}
	if (unlikely(decoder->outside != NULL))
	{
		MrFailure *failure = mr_outside_fill(decoder->outside, around, decoder->readers,
											 decoder->slots, decoder->slot_of);

		if (failure != NULL)
			return failure;
	}
	open_arena(decoder);
	for (int i = 0; i < fields->count; i++)
	{
		MrDecodeField *reader = &decoder->readers[i];
		const MrJsonSlot *slot = &decoder->slots[decoder->slot_of[i]];
		MrFailure *failure;

		if (unlikely(decoder->rules != NULL))
			failure = convert_by_rules(decoder, i, slot, &values[i], &isnull[i]);
		else if (likely(slot->kind > MR_JSON_NULL))
		{
			isnull[i] = false;
			failure = reader->convert(reader, slot, &values[i]);
		}
		else
			failure = absent(reader, &fields->fields[i], slot, &values[i], &isnull[i]);
		if (unlikely(failure != NULL))
		{
			read_kept(decoder, i, values, isnull);
			return failure;
		}
	}
	return NULL;
}

void
mr_decoder_keep(MrDecoder *decoder, int field)
{
	decoder->kept = field;
}

void
mr_decoder_follow(MrDecoder *decoder, const MrDecodeRules *rules)
{
	decoder->rules = rules;
}

void
mr_decoder_read_as(MrDecoder *decoder, int field, const MrReading *reading)
{
	for (MrDecodeField *reader = &decoder->readers[field]; reader != NULL; reader = reader->base)
		reader->reading = reading;
}

void
mr_decode_unread(const MrDecoder *decoder, const char *bytes, int length, MrJsonReport report,
				 void *argument)
{
	if (decoder->in_payload)
		mr_json_plan_unread(decoder->plan, bytes, length, report, argument);
}

MrFailure *
mr_json_to_jsonb(const char *bytes, int length, Datum *jsonb)
{
	MrDecodeField whole = {.type_name = "jsonb", .context = CurrentMemoryContext};
	MrJsonSlot slot;
	MrJsonError error;

	if (!mr_json_scan_whole(bytes, length, &slot, &error))
		return mr_decode_syntax(bytes, length, &error);
	return mr_convert_jsonb(&whole, &slot, jsonb);
}

static void
add_path(MrDecoder *decoder, int number)
{
	const MrField *field = &decoder->fields->fields[number];
	int node = 0;

	for (int i = 0; i < field->step_count; i++)
	{
		const MrPathStep *step = &field->steps[i];

		node = step->key != NULL
				   ? mr_json_plan_key(decoder->plan, node, step->key, step->key_length)
				   : mr_json_plan_index(decoder->plan, node, step->index);
	}
	decoder->slot_of[number] = mr_json_plan_take(decoder->plan, node);
	if (field->step_count == 0)
		decoder->want_object = decoder->want_array = true;
	else if (field->steps[0].key != NULL)
		decoder->want_object = true;
	else
		decoder->want_array = true;
}

/*
 * A path into something that is not there gives nothing, as in SQL/JSON's lax mode; but a document that
 * cannot have any of the fields is a wrong document, not a row of nulls.
 */
static bool
is_of_shape(const MrDecoder *decoder, const char *bytes, int length)
{
	int i = 0;

	if (decoder->want_object == decoder->want_array)
		return true;
	while (i < length && (unsigned char) bytes[i] <= ' ')
		i++;
	return bytes[i] == (decoder->want_object ? '{' : '[');
}

static MrFailure *
wrong_shape(const MrDecoder *decoder, const char *bytes, int length)
{
	MrJsonSlot whole;
	MrJsonError error;

	(void) mr_json_scan_whole(bytes, length, &whole, &error);
	return mr_failure_make(MR_STAGE_DECODE,
						   decoder->want_object ? ERRCODE_SQL_JSON_OBJECT_NOT_FOUND
												: ERRCODE_SQL_JSON_ARRAY_NOT_FOUND,
						   "payload is %s, expected %s", mr_json_kind_name(whole.kind),
						   decoder->want_object ? "an object" : "an array");
}

/* One allocation for all strings of the event. */
static void
open_arena(MrDecoder *decoder)
{
	Size size = 0;

	for (int i = 0; i < decoder->fields->count; i++)
		if (decoder->readers[i].in_arena)
		{
			const MrJsonSlot *slot = &decoder->slots[decoder->slot_of[i]];

			if (slot->kind > MR_JSON_NULL && slot->kind <= MR_JSON_STRING)
				size += MAXALIGN((Size) slot->length + VARHDRSZ);
		}
	if (size > LARGEST_ARENA)
		size = 0;
	decoder->arena.left = size;
	decoder->arena.next = size > 0 ? palloc(size) : NULL;
}

/* A field could not be read: the one that is kept is behind it, or is this one. */
static void
read_kept(MrDecoder *decoder, int failed, Datum *values, bool *isnull)
{
	int i = decoder->kept;
	const MrJsonSlot *slot;
	MrFailure *failure;

	if (i < failed)
		return;
	slot = &decoder->slots[decoder->slot_of[i]];
	isnull[i] = i == failed || slot->kind <= MR_JSON_NULL;
	if (isnull[i])
		return;
	failure = decoder->rules != NULL
				  ? convert_by_rules(decoder, i, slot, &values[i], &isnull[i])
				  : decoder->readers[i].convert(&decoder->readers[i], slot, &values[i]);
	isnull[i] = isnull[i] || failure != NULL;
}

static MrFailure *
convert_by_rules(MrDecoder *decoder, int i, const MrJsonSlot *found, Datum *value, bool *isnull)
{
	MrDecodeField *reader = &decoder->readers[i];
	MrJsonSlot slot = *found;
	bool optional = false;
	MrFailure *failure = decoder->rules->look(decoder->rules->arg, i, &slot, &optional);

	if (failure != NULL)
		return failure;
	*isnull = slot.kind <= MR_JSON_NULL;
	if (!*isnull)
		return reader->convert(reader, &slot, value);
	*value = (Datum) 0;
	return optional ? NULL : absent(reader, &decoder->fields->fields[i], &slot, value, isnull);
}

static MrFailure *
absent(MrDecodeField *reader, const MrField *field, const MrJsonSlot *slot, Datum *value,
	   bool *isnull)
{
	bool missing = slot->kind == MR_JSON_MISSING;

	*value = (Datum) 0;
	*isnull = true;
	if (missing && field->has_default)
	{
		*value = field->default_value;
		*isnull = field->default_is_null;
		return NULL;
	}
	if (field->not_null)
	{
		MrFailure *failure =
			mr_failure_make(MR_STAGE_DECODE, ERRCODE_NOT_NULL_VIOLATION, "field \"%s\" is %s",
							field->name, missing ? "missing" : "null");

		failure->column_name = pstrdup(field->name);
		return failure;
	}
	if (reader->convert == mr_convert_domain)
		return mr_check_domain(reader, NULL, (Datum) 0, true);
	return NULL;
}

static void *
allocate(size_t size)
{
	return palloc0(size);
}
