/*
 * decode_bytes.c - uuid and bytea
 *
 * bytea has no form of its own in JSON. Producers write base64 (Kafka Connect, Protobuf's JSON, most libraries) or
 * hexadecimal digits, with \x as PostgreSQL, with 0x as most languages, or with nothing before them. The last are base64 by
 * their letters, and other bytes: they are refused unless the field says which (BYTEA_FORMAT).
 */
#include "postgres.h"

#include "utils/uuid.h"

#include "decode/decode_field.h"
#include "server/compat.h"

#define UUID_CANONICAL 36 /* characters */
#define UUID_LONGEST   80 /* enough for any form with hyphens, braces and escapes */

static int read_bytes(MrByteaFormat format, const char *p, int length, unsigned char *out);
static MrFailure *not_bytes(MrDecodeField *field, const MrJsonSlot *slot);
static inline int hex_value(char c);
static bool uuid_canonical(const char *p, unsigned char *out);
static bool uuid_any(const char *p, const char *end, unsigned char *out);
static int base64_value(char c);
static int unhex(const char *p, const char *end, unsigned char *out);

MrFailure *
mr_convert_uuid(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	pg_uuid_t *uuid;
	char buffer[UUID_LONGEST];
	const char *p = slot->start;
	int length = slot->length;

	if (slot->kind == MR_JSON_STRING)
	{
		uuid = mr_decode_alloc(field, sizeof(pg_uuid_t));
		*value = PointerGetDatum(uuid);
		if (likely(length == UUID_CANONICAL && uuid_canonical(p, uuid->data)))
			return NULL;
		if (length <= UUID_LONGEST)
		{
			if (slot->flags & MR_JSON_ESCAPED)
			{
				length = mr_json_unescape(p, length, buffer);
				p = buffer;
			}
			if (uuid_any(p, p + length, uuid->data))
				return NULL;
		}
	}
	return mr_decode_wrong(field, slot, ERRCODE_INVALID_TEXT_REPRESENTATION, field->expected);
}

MrFailure *
mr_convert_bytea(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	bytea *result;
	char *string;
	int length;

	if (slot->kind != MR_JSON_STRING || (slot->flags & MR_JSON_HAS_NUL))
		return not_bytes(field, slot);
	string = mr_decode_cstring(slot, &length);
	result = palloc((Size) length + VARHDRSZ);
	length =
		read_bytes(field->reading->bytea_format, string, length, (unsigned char *) VARDATA(result));
	pfree(string);
	if (length < 0)
		return not_bytes(field, slot);
	SET_VARSIZE(result, length + VARHDRSZ);
	*value = PointerGetDatum(result);
	return NULL;
}

/* Returns the number of bytes, or -1. */
static int
read_bytes(MrByteaFormat format, const char *p, int length, unsigned char *out)
{
	bool prefixed = length >= 2 && (p[0] == '\\' || p[0] == '0') && (p[1] == 'x' || p[1] == 'X');
	int digits = prefixed ? 2 : 0;
	bool hexadecimal;

	if (format == MR_BYTEA_TEXT)
	{
		memcpy(out, p, length);
		return length;
	}
	if (format == MR_BYTEA_BASE64)
		return mr_unbase64(p, p + length, out);
	while (digits < length && (hex_value(p[digits]) & ~0x0f) == 0)
		digits++;
	hexadecimal = digits == length;
	if (format == MR_BYTEA_HEX || (prefixed && hexadecimal))
		return unhex(p + (prefixed ? 2 : 0), p + length, out);
	if (hexadecimal && length > 0 && length % 2 == 0)
		return -1;
	return mr_unbase64(p, p + length, out);
}

/* With the option that reads what was found. */
static MrFailure *
not_bytes(MrDecodeField *field, const MrJsonSlot *slot)
{
	static const char *const expected[] = {[MR_BYTEA_BASE64] = "base64",
										   [MR_BYTEA_HEX] = "hexadecimal digits",
										   [MR_BYTEA_TEXT] = "a string"};
	MrByteaFormat format = field->reading->bytea_format;
	MrFailure *failure =
		mr_decode_wrong(field, slot, ERRCODE_INVALID_TEXT_REPRESENTATION,
						format == MR_BYTEA_AUTO ? field->expected : expected[format]);
	int digits = 0;

	while (digits < slot->length && (hex_value(slot->start[digits]) & ~0x0f) == 0)
		digits++;
	if (slot->kind != MR_JSON_STRING || format == MR_BYTEA_TEXT)
		return failure;
	if (format == MR_BYTEA_AUTO && digits == slot->length && digits % 2 == 0)
		failure->hint =
			"It can be either. Add BYTEA_FORMAT 'hex' or BYTEA_FORMAT 'base64' to the field.";
	else
		failure->hint =
			"If the string's own bytes are meant, add BYTEA_FORMAT 'text' to the field, or "
			"declare it as text.";
	return failure;
}

/* 0..15, or something with a bit over 0x0f */
static inline int
hex_value(char c)
{
	static const unsigned char values[256] = {
		['0'] = 0x80, ['1'] = 0x81, ['2'] = 0x82, ['3'] = 0x83, ['4'] = 0x84, ['5'] = 0x85,
		['6'] = 0x86, ['7'] = 0x87, ['8'] = 0x88, ['9'] = 0x89, ['a'] = 0x8a, ['b'] = 0x8b,
		['c'] = 0x8c, ['d'] = 0x8d, ['e'] = 0x8e, ['f'] = 0x8f, ['A'] = 0x8a, ['B'] = 0x8b,
		['C'] = 0x8c, ['D'] = 0x8d, ['E'] = 0x8e, ['F'] = 0x8f};

	return values[(unsigned char) c] ^ 0x80;
}

/* xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx */
static bool
uuid_canonical(const char *p, unsigned char *out)
{
	static const unsigned char at[UUID_LEN] = {0,  2,  4,  6,  9,  11, 14, 16,
											   19, 21, 24, 26, 28, 30, 32, 34};
	int wrong = (p[8] ^ '-') | (p[13] ^ '-') | (p[18] ^ '-') | (p[23] ^ '-');

	for (int i = 0; i < UUID_LEN; i++)
	{
		int high = hex_value(p[at[i]]);
		int low = hex_value(p[at[i] + 1]);

		wrong |= (high | low) & ~0x0f;
		out[i] = (unsigned char) (high << 4 | low);
	}
	return wrong == 0;
}

/* All that uuid's input function takes: braces around, a hyphen after any group of four digits or none. */
static bool
uuid_any(const char *p, const char *end, unsigned char *out)
{
	bool braces = p < end && *p == '{';

	if (braces)
		p++;
	for (int i = 0; i < UUID_LEN; i++)
	{
		if (end - p < 2 || ((hex_value(p[0]) | hex_value(p[1])) & ~0x0f) != 0)
			return false;
		out[i] = (unsigned char) (hex_value(p[0]) << 4 | hex_value(p[1]));
		p += 2;
		if (p < end && *p == '-' && i % 2 == 1 && i < UUID_LEN - 1)
			p++;
	}
	if (braces)
		return end - p == 1 && *p == '}';
	return p == end;
}

/* Both return the number of bytes, or -1. */
static int
unhex(const char *p, const char *end, unsigned char *out)
{
	unsigned char *start = out;

	if ((end - p) % 2 != 0)
		return -1;
	for (; p < end; p += 2)
	{
		if (((hex_value(p[0]) | hex_value(p[1])) & ~0x0f) != 0)
			return -1;
		*out++ = (unsigned char) (hex_value(p[0]) << 4 | hex_value(p[1]));
	}
	return (int) (out - start);
}

/* The alphabets of RFC 4648, sections 4 and 5; padding may be left out, but not be wrong. */
int
mr_unbase64(const char *p, const char *end, unsigned char *out)
{
	unsigned char *start = out;
	uint32 bits = 0;
	int count = 0;

	if ((end - p) % 4 == 0)
		for (int i = 0; i < 2 && end > p && end[-1] == '='; i++)
			end--;
	if ((end - p) % 4 == 1)
		return -1;
	for (; p < end; p++)
	{
		int v = base64_value(*p);

		if (v < 0)
			return -1;
		bits = bits << 6 | (uint32) v;
		count += 6;
		if (count >= 8)
		{
			count -= 8;
			*out++ = (unsigned char) (bits >> count);
		}
	}
	return (int) (out - start);
}

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	if (c == '/' || c == '_')
		return 63;
	return -1;
}
