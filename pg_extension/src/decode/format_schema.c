/*
 * format_schema.c - see format_schema.h. Plain C, no PostgreSQL.
 *
 * From the documentation of Kafka Connect (JsonConverter) and of Debezium's connectors, "Temporal types" and "Decimal types".
 */
#include "decode/format_schema.h"

#include <stdio.h>
#include <string.h>

enum /* slots of the plan */
{
	TYPE,
	NAME,
	FIELD,
	FIELDS,
	ITEMS,
	SCALE,
	SLOTS
};

struct MrSchemaReader
{
	MrJsonPlan *plan; /* of one schema */
};

typedef struct Logical
{
	const char *name;
	MrSchemaUnit unit;
} Logical;

static const Logical logical_types[] = {
	{"org.apache.kafka.connect.data.Date", MR_SCHEMA_DAYS},
	{"org.apache.kafka.connect.data.Time", MR_SCHEMA_MS},
	{"org.apache.kafka.connect.data.Timestamp", MR_SCHEMA_MS},
	{"org.apache.kafka.connect.data.Decimal", MR_SCHEMA_DECIMAL},
	{"io.debezium.time.Date", MR_SCHEMA_DAYS},
	{"io.debezium.time.Time", MR_SCHEMA_MS},
	{"io.debezium.time.MicroTime", MR_SCHEMA_US},
	{"io.debezium.time.NanoTime", MR_SCHEMA_NS},
	{"io.debezium.time.Timestamp", MR_SCHEMA_MS},
	{"io.debezium.time.MicroTimestamp", MR_SCHEMA_US},
	{"io.debezium.time.NanoTimestamp", MR_SCHEMA_NS},
	{"io.debezium.time.MicroDuration", MR_SCHEMA_US},
	{"io.debezium.time.NanoDuration", MR_SCHEMA_NS},
	{"io.debezium.data.VariableScaleDecimal", MR_SCHEMA_VARIABLE_DECIMAL},
	{"io.debezium.data.Json", MR_SCHEMA_JSON},
};

static bool scan(MrSchemaReader *reader, const MrJsonSlot *schema, MrJsonSlot *slots);
static bool is_text(const MrJsonSlot *slot, const char *text, size_t length);
static bool read_scale(const MrJsonSlot *slot, int *scale);
static int digits_of(unsigned char *magnitude, int length, char *digits);
static void place_point(const char *digits, int ndigits, int scale, char *out);

MrSchemaReader *
mr_schema_reader_create(MrJsonAlloc alloc)
{
	static const char *const keys[] = {"type", "name", "field", "fields", "items"};
	MrSchemaReader *reader = alloc(sizeof(MrSchemaReader));
	int node;

	reader->plan = mr_json_plan_create(alloc);
	for (int i = TYPE; i <= ITEMS; i++)
		(void) mr_json_plan_take(reader->plan,
								 mr_json_plan_key(reader->plan, 0, keys[i], (int) strlen(keys[i])));
	node = mr_json_plan_key(reader->plan, 0, "parameters", 10);
	(void) mr_json_plan_take(reader->plan, mr_json_plan_key(reader->plan, node, "scale", 5));
	mr_json_plan_ready(reader->plan);
	return reader;
}

bool
mr_schema_below(MrSchemaReader *reader, const MrJsonSlot *schema, const char *key, int key_length,
				MrJsonSlot *below)
{
	MrJsonSlot slots[SLOTS];
	MrJsonElements elements;

	if (!scan(reader, schema, slots))
		return false;
	if (key == NULL)
	{
		*below = slots[ITEMS];
		return below->kind == MR_JSON_OBJECT;
	}
	if (slots[FIELDS].kind != MR_JSON_ARRAY)
		return false;
	mr_json_elements(&slots[FIELDS], &elements);
	while (mr_json_next(&elements, below))
		if (scan(reader, below, slots) && slots[FIELD].kind == MR_JSON_STRING &&
			mr_json_same_key(slots[FIELD].start, slots[FIELD].length, key, key_length))
			return true;
	return false;
}

MrSchemaType
mr_schema_type(MrSchemaReader *reader, const MrJsonSlot *schema)
{
	MrSchemaType type = {MR_SCHEMA_PLAIN, 0};
	MrJsonSlot slots[SLOTS];

	if (!scan(reader, schema, slots))
		return type;
	for (size_t i = 0; i < sizeof(logical_types) / sizeof(logical_types[0]); i++)
		if (is_text(&slots[NAME], logical_types[i].name, strlen(logical_types[i].name)))
			type.unit = logical_types[i].unit;
	if (type.unit == MR_SCHEMA_DECIMAL && !read_scale(&slots[SCALE], &type.scale))
		type.unit = MR_SCHEMA_PLAIN;
	if (type.unit == MR_SCHEMA_PLAIN && is_text(&slots[TYPE], "bytes", 5))
		type.unit = MR_SCHEMA_BYTES;
	return type;
}

bool
mr_schema_decimal(const unsigned char *bytes, int length, int scale, char *text)
{
	unsigned char magnitude[MR_SCHEMA_DECIMAL_BYTES];
	char digits[MR_SCHEMA_DECIMAL_BYTES * 5 / 2];
	bool negative;
	int carry = 1;

	if (length < 1 || length > MR_SCHEMA_DECIMAL_BYTES || scale > MR_SCHEMA_SCALE_MAX ||
		scale < -MR_SCHEMA_SCALE_MAX)
		return false;
	negative = bytes[0] >= 0x80;
	for (int i = length - 1; i >= 0; i--)
	{
		int byte = negative ? (bytes[i] ^ 0xff) + carry : bytes[i];

		carry = byte >> 8;
		magnitude[i] = (unsigned char) byte;
	}
	if (negative)
		*text++ = '-';
	place_point(digits, digits_of(magnitude, length, digits), scale, text);
	return true;
}

static bool
scan(MrSchemaReader *reader, const MrJsonSlot *schema, MrJsonSlot *slots)
{
	MrJsonError error;

	return schema->kind == MR_JSON_OBJECT &&
		   mr_json_scan(reader->plan, schema->start, schema->length, slots, &error);
}

static bool
is_text(const MrJsonSlot *slot, const char *text, size_t length)
{
	return slot->kind == MR_JSON_STRING && (size_t) slot->length == length &&
		   memcmp(slot->start, text, length) == 0;
}

/* Parameters are strings. */
static bool
read_scale(const MrJsonSlot *slot, int *scale)
{
	const char *p = slot->start;
	int length = slot->length;
	bool negative = length > 0 && *p == '-';

	*scale = 0;
	if (slot->kind != MR_JSON_STRING || length - negative < 1 || length - negative > 4)
		return false;
	for (int i = negative; i < length; i++)
	{
		if (p[i] < '0' || p[i] > '9')
			return false;
		*scale = *scale * 10 + (p[i] - '0');
	}
	if (negative)
		*scale = -*scale;
	return true;
}

/* Divides by ten until nothing is left: at most 963 digits. Without zeros in front; at least one. */
static int
digits_of(unsigned char *magnitude, int length, char *digits)
{
	int n = 0;
	int from = 0;

	do
	{
		int rest = 0;

		for (int i = from; i < length; i++)
		{
			int value = rest * 256 + magnitude[i];

			magnitude[i] = (unsigned char) (value / 10);
			rest = value % 10;
		}
		while (from < length && magnitude[from] == 0)
			from++;
		digits[n++] = (char) ('0' + rest);
	} while (from < length);
	for (int i = 0; i < n / 2; i++)
	{
		char other = digits[i];

		digits[i] = digits[n - 1 - i];
		digits[n - 1 - i] = other;
	}
	return n;
}

static void
place_point(const char *digits, int ndigits, int scale, char *out)
{
	int whole = ndigits - scale; /* digits before the point */

	if (whole <= 0)
	{
		*out++ = '0';
		*out++ = '.';
		memset(out, '0', (size_t) -whole);
		out += -whole;
		memcpy(out, digits, (size_t) ndigits);
		out += ndigits;
	}
	else if (scale > 0)
	{
		memcpy(out, digits, (size_t) whole);
		out[whole] = '.';
		memcpy(out + whole + 1, digits + whole, (size_t) scale);
		out += ndigits + 1;
	}
	else
	{
		memcpy(out, digits, (size_t) ndigits);
		/* no zeros behind a zero: JSON has none before a number */
		if (ndigits > 1 || digits[0] != '0')
		{
			memset(out + ndigits, '0', (size_t) -scale);
			out += -scale;
		}
		out += ndigits;
	}
	*out = '\0';
}
