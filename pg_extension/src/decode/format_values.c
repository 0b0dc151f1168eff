/*
 * format_values.c - see format_values.h
 *
 * The schema comes with each message and is nearly always that of the one before: it is compared, byte by byte, and read when
 * it is another.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "decode/decode_field.h"
#include "decode/format_debezium.h"
#include "decode/format_schema.h"
#include "decode/format_values.h"

struct MrFormatValues
{
	MrFormatKind kind;
	MemoryContext context;
	const MrFields *fields;
	MrDecoder *decoder;
	MrDecodeRules rules;
	MrSchemaReader *reader;
	char *schema; /* that types and readings are of; NULL: none */
	int schema_length;
	MrSchemaType *types; /* by field */
	MrReading *readings; /* by field, where its type has a unit */
	Oid *base_types;     /* by field */
	bool deletes;        /* the document is a row that is no more */
	const Bitmapset *take_left_out;
	bool *left_out; /* by field, of the document */
	int left_out_count;
	MrJsonPlan *variable;                /* of a decimal with its scale: scale, value */
	char number[MR_SCHEMA_DECIMAL_SIZE]; /* of the field that is read */
};

static void *allocate(size_t size);
static void use_schema(MrFormatValues *values, const MrJsonSlot *schema);
static MrSchemaType type_of(MrFormatValues *values, const MrJsonSlot *schema, const MrField *field);
static const MrReading *reading_of(MrFormatValues *values, int field);
static MrFailure *look(void *arg, int field, MrJsonSlot *slot, bool *optional);
static MrFailure *leave_out(MrFormatValues *values, int field, MrJsonSlot *slot, bool *optional);
static MrFailure *read_decimal(MrFormatValues *values, int field, MrJsonSlot *slot);
static int unscaled_bytes(const MrJsonSlot *slot, unsigned char *bytes);
static bool variable_decimal(MrFormatValues *values, const MrJsonSlot *slot, MrJsonSlot *unscaled,
							 int *scale);
static void read_json(MrJsonSlot *slot);

MrFormatValues *
mr_format_values_create(MrFormatKind kind, const MrFields *fields, MrDecoder *decoder)
{
	MrFormatValues *values = palloc0(sizeof(MrFormatValues));
	int n = Max(fields->count, 1);

	values->kind = kind;
	values->context = CurrentMemoryContext;
	values->fields = fields;
	values->decoder = decoder;
	values->rules = (MrDecodeRules){look, values};
	values->reader = mr_schema_reader_create(allocate);
	values->variable = mr_json_plan_create(allocate);
	(void) mr_json_plan_take(values->variable, mr_json_plan_key(values->variable, 0, "scale", 5));
	(void) mr_json_plan_take(values->variable, mr_json_plan_key(values->variable, 0, "value", 5));
	mr_json_plan_ready(values->variable);
	values->types = palloc0(n * sizeof(MrSchemaType));
	values->readings = palloc0(n * sizeof(MrReading));
	values->base_types = palloc0(n * sizeof(Oid));
	values->left_out = palloc0(n * sizeof(bool));
	for (int i = 0; i < fields->count; i++)
		values->base_types[i] = getBaseType(fields->fields[i].type_id);
	mr_decoder_follow(decoder, &values->rules);
	return values;
}

void
mr_format_values_begin(MrFormatValues *values, const MrEnvelope *envelope,
					   const Bitmapset *take_left_out)
{
	values->deletes = envelope->deletes;
	values->take_left_out = take_left_out;
	if (values->left_out_count > 0)
		memset(values->left_out, 0, values->fields->count * sizeof(bool));
	values->left_out_count = 0;
	use_schema(values, &envelope->parts[values->kind == MR_FORMAT_DEBEZIUM ? MR_DEBEZIUM_SCHEMA
																		   : MR_CONNECT_SCHEMA]);
}

Bitmapset *
mr_format_values_left_out(const MrFormatValues *values)
{
	Bitmapset *fields = NULL;

	for (int i = 0; i < values->fields->count && values->left_out_count > 0; i++)
		if (values->left_out[i])
			fields = bms_add_member(fields, i);
	return fields;
}

bool
mr_format_values_name_left_out(const MrFormatValues *values, Datum *names)
{
	Datum *elements = palloc(Max(values->left_out_count, 1) * sizeof(Datum));
	int n = 0;

	for (int i = 0; i < values->fields->count && n < values->left_out_count; i++)
		if (values->left_out[i])
			elements[n++] = CStringGetTextDatum(values->fields->fields[i].name);
	if (n > 0)
		*names = PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT));
	return n > 0;
}

static void *
allocate(size_t size)
{
	return palloc0(size);
}

static void
use_schema(MrFormatValues *values, const MrJsonSlot *schema)
{
	bool present = schema->kind == MR_JSON_OBJECT;
	MrJsonSlot row = *schema;

	if (present ? values->schema != NULL && values->schema_length == schema->length &&
					  memcmp(values->schema, schema->start, schema->length) == 0
				: values->schema == NULL)
		return;
	/* with no length of its own it is read again after an error here */
	if (values->schema != NULL)
		pfree(values->schema);
	values->schema = NULL;
	values->schema_length = -1;
	if (present)
	{
		values->schema = MemoryContextAlloc(values->context, schema->length);
		memcpy(values->schema, schema->start, schema->length);
		values->schema_length = schema->length;
	}
	/* the rows before and after a change have one type */
	if (present && values->kind == MR_FORMAT_DEBEZIUM)
		present = mr_schema_below(values->reader, schema, "after", 5, &row);
	for (int i = 0; i < values->fields->count; i++)
	{
		values->types[i] = present ? type_of(values, &row, &values->fields->fields[i])
								   : (MrSchemaType){MR_SCHEMA_PLAIN, 0};
		mr_decoder_read_as(values->decoder, i, reading_of(values, i));
	}
}

/* Of an array: what its schema says of the elements. */
static MrSchemaType
type_of(MrFormatValues *values, const MrJsonSlot *schema, const MrField *field)
{
	MrJsonSlot at = *schema;
	MrJsonSlot below;

	if (field->source != MR_FROM_PAYLOAD)
		return (MrSchemaType){MR_SCHEMA_PLAIN, 0};
	for (int i = 0; i < field->step_count; i++)
	{
		if (!mr_schema_below(values->reader, &at, field->steps[i].key, field->steps[i].key_length,
							 &below))
			return (MrSchemaType){MR_SCHEMA_PLAIN, 0};
		at = below;
	}
	while (mr_schema_below(values->reader, &at, NULL, 0, &below))
		at = below;
	return mr_schema_type(values->reader, &at);
}

/* Times of a schema count from 1970 in UTC, whatever zone the pipeline is in. */
static const MrReading *
reading_of(MrFormatValues *values, int field)
{
	static const MrEpoch units[] = {[MR_SCHEMA_DAYS] = MR_EPOCH_DAYS,
									[MR_SCHEMA_MS] = MR_EPOCH_MS,
									[MR_SCHEMA_US] = MR_EPOCH_US,
									[MR_SCHEMA_NS] = MR_EPOCH_NS};
	const MrReading *declared = &values->fields->fields[field].reading;
	MrReading *reading = &values->readings[field];
	MrSchemaUnit unit = values->types[field].unit;

	switch (unit)
	{
		case MR_SCHEMA_DAYS:
		case MR_SCHEMA_MS:
		case MR_SCHEMA_US:
		case MR_SCHEMA_NS:
			mr_reading_init(reading);
			reading->epoch = units[unit];
			return reading;
		case MR_SCHEMA_BYTES:
		case MR_SCHEMA_DECIMAL:
			*reading = *declared;
			reading->bytea_format = MR_BYTEA_BASE64;
			return reading;
		case MR_SCHEMA_PLAIN:
		case MR_SCHEMA_VARIABLE_DECIMAL:
		case MR_SCHEMA_JSON:
			break;
	}
	return declared;
}

static MrFailure *
look(void *arg, int field, MrJsonSlot *slot, bool *optional)
{
	MrFormatValues *values = arg;
	Oid type = values->base_types[field];

	if (values->fields->fields[field].source != MR_FROM_PAYLOAD)
		return NULL;
	if (slot->kind <= MR_JSON_NULL)
	{
		*optional = values->deletes;
		return NULL;
	}
	if (values->kind == MR_FORMAT_DEBEZIUM && !values->deletes && mr_debezium_is_left_out(slot))
		return leave_out(values, field, slot, optional);
	switch (values->types[field].unit)
	{
		case MR_SCHEMA_DECIMAL:
		case MR_SCHEMA_VARIABLE_DECIMAL:
			if (type != BYTEAOID && type != JSONBOID && type != JSONOID &&
				!OidIsValid(get_element_type(type)))
				return read_decimal(values, field, slot);
			return NULL;
		case MR_SCHEMA_JSON:
			if ((type == JSONBOID || type == JSONOID) && slot->kind == MR_JSON_STRING)
				read_json(slot);
			return NULL;
		default:
			return NULL;
	}
}

static MrFailure *
leave_out(MrFormatValues *values, int field, MrJsonSlot *slot, bool *optional)
{
	const char *name = values->fields->fields[field].name;
	MrFailure *failure;

	if (bms_is_member(field, values->take_left_out))
	{
		values->left_out[field] = true;
		values->left_out_count++;
		slot->kind = MR_JSON_MISSING;
		*optional = true;
		return NULL;
	}
	failure =
		mr_failure_make(MR_STAGE_DECODE, ERRCODE_NULL_VALUE_NOT_ALLOWED,
						"field \"%s\" was left out by the source: the change did not touch it",
						name);
	failure->hint =
		"With on_conflict \"update\" the row keeps its old value where the transform gives the "
		"field "
		"as it is to a column that is neither of conflict_key nor newer_by. In expressions, name "
		"event.unavailable, which lists such fields; or give the source table REPLICA IDENTITY "
		"FULL.";
	failure->column_name = pstrdup(name);
	return failure;
}

/* The slot becomes a number. */
static MrFailure *
read_decimal(MrFormatValues *values, int field, MrJsonSlot *slot)
{
	int scale = values->types[field].scale;
	MrJsonSlot unscaled = *slot;
	MrJsonError error;
	unsigned char bytes[MR_SCHEMA_DECIMAL_BYTES];

	if (values->types[field].unit == MR_SCHEMA_VARIABLE_DECIMAL &&
		!variable_decimal(values, slot, &unscaled, &scale))
		return NULL;
	if (unscaled.kind != MR_JSON_STRING || (unscaled.flags & MR_JSON_HAS_NUL))
		return NULL; /* as another setting of decimal.handling.mode writes it */
	if (!mr_schema_decimal(bytes, unscaled_bytes(&unscaled, bytes), scale, values->number) ||
		!mr_json_scan_whole(values->number, (int) strlen(values->number), slot, &error))
		return mr_failure_make(
			MR_STAGE_DECODE, ERRCODE_INVALID_TEXT_REPRESENTATION,
			"field \"%s\" is a decimal by its schema: expected base64 of at most "
			"%d characters",
			values->fields->fields[field].name, MR_SCHEMA_DECIMAL_BYTES);
	return NULL;
}

/* Of base64; -1: it is none, or there are too many. */
static int
unscaled_bytes(const MrJsonSlot *slot, unsigned char *bytes)
{
	char string[MR_SCHEMA_DECIMAL_BYTES];
	int length = slot->length;

	if (length > (int) sizeof(string))
		return -1;
	if (slot->flags & MR_JSON_ESCAPED)
		length = mr_json_unescape(slot->start, length, string);
	else
		memcpy(string, slot->start, length);
	return mr_unbase64(string, string + length, bytes);
}

static bool
variable_decimal(MrFormatValues *values, const MrJsonSlot *slot, MrJsonSlot *unscaled, int *scale)
{
	MrJsonSlot slots[2];
	MrJsonError error;

	if (slot->kind != MR_JSON_OBJECT)
		return false;
	if (!mr_json_scan(values->variable, slot->start, slot->length, slots, &error) ||
		slots[0].kind != MR_JSON_NUMBER || slots[0].exponent != 0 ||
		(slots[0].flags & MR_JSON_INEXACT) || slots[0].mantissa > MR_SCHEMA_SCALE_MAX)
		return false;
	*scale = (int) slots[0].mantissa * (slots[0].flags & MR_JSON_NEGATIVE ? -1 : 1);
	*unscaled = slots[1];
	return true;
}

/* The slot becomes what its string has, when that is JSON. */
static void
read_json(MrJsonSlot *slot)
{
	MrJsonSlot whole;
	MrJsonError error;
	int length;
	char *document;

	if (slot->flags & MR_JSON_HAS_NUL)
		return;
	document = mr_decode_cstring(slot, &length);
	if (mr_json_scan_whole(document, length, &whole, &error))
		*slot = whole;
}
