/*
 * decode_number.c - boolean, the integers, real, double precision, numeric
 *
 * The scan has already turned the digits into mantissa and exponent; most numbers need nothing more than
 * one multiplication or division, exact where it is used (Clinger: both operands exact in the type).
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "decode_field.h"

#define LONGEST_NUMBER_STRING                                                                      \
	400 /* characters of a string that may still be a number to input functions */

static const double float8_tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
									 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
									 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
static const float float4_tens[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10};
static const uint64 integer_tens[] = {UINT64CONST(1),
									  UINT64CONST(10),
									  UINT64CONST(100),
									  UINT64CONST(1000),
									  UINT64CONST(10000),
									  UINT64CONST(100000),
									  UINT64CONST(1000000),
									  UINT64CONST(10000000),
									  UINT64CONST(100000000),
									  UINT64CONST(1000000000),
									  UINT64CONST(10000000000),
									  UINT64CONST(100000000000),
									  UINT64CONST(1000000000000),
									  UINT64CONST(10000000000000),
									  UINT64CONST(100000000000000),
									  UINT64CONST(1000000000000000),
									  UINT64CONST(10000000000000000),
									  UINT64CONST(100000000000000000),
									  UINT64CONST(1000000000000000000),
									  UINT64CONST(10000000000000000000)};

typedef enum NumberIs
{
	IS_NUMBER, /* *number is set */
	IS_MAYBE,  /* ask the input function */
	IS_NOT_NUMBER
} NumberIs;

static NumberIs find_number(const MrDecodeField *field, const MrJsonSlot *slot, MrJsonSlot *number);
static bool is_special(const char *p, int length);
static MrFailure *no_number(MrDecodeField *field, const MrJsonSlot *slot, NumberIs is,
							Datum *value);
static MrFailure *out_of_range(const MrDecodeField *field, const MrJsonSlot *slot);
static bool small_numeric(const MrJsonSlot *number, int32 typmod, Datum *value);

MrFailure *
mr_convert_boolean(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	const char *p = slot->start;
	int length = slot->length;
	bool result = slot->kind == MR_JSON_TRUE;

	if (slot->kind == MR_JSON_STRING)
	{
		while (length > 0 && *p == ' ')
			p++, length--;
		while (length > 0 && p[length - 1] == ' ')
			length--;
	}
	if (slot->kind == MR_JSON_TRUE || slot->kind == MR_JSON_FALSE ||
		(slot->kind == MR_JSON_STRING && parse_bool_with_len(p, length, &result)) ||
		(slot->kind == MR_JSON_NUMBER && length == 1 && parse_bool_with_len(p, length, &result)))
	{
		*value = BoolGetDatum(result);
		return NULL;
	}
	return mr_decode_wrong(field, slot, ERRCODE_INVALID_TEXT_REPRESENTATION, field->expected);
}

MrFailure *
mr_convert_integer(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	MrJsonSlot number;
	NumberIs is = find_number(field, slot, &number);
	bool negative = (number.flags & MR_JSON_NEGATIVE) != 0;
	uint64 limit;
	uint64 size;
	int64 result;

	if (unlikely(is != IS_NUMBER))
		return no_number(field, slot, is, value);
	limit = field->type_id == INT4OID   ? PG_INT32_MAX
			: field->type_id == INT2OID ? PG_INT16_MAX
										: PG_INT64_MAX;
	size = number.mantissa;
	if (unlikely(number.exponent != 0 || (number.flags & MR_JSON_INEXACT)))
	{
		if (number.flags & MR_JSON_INEXACT)
			return number.exponent < 0
					   ? mr_decode_wrong(field, slot, ERRCODE_INVALID_TEXT_REPRESENTATION,
										 field->expected)
					   : out_of_range(field, slot);
		for (; number.exponent < 0 && size % 10 == 0 && size != 0; number.exponent++)
			size /= 10;
		if (number.exponent < 0 && size != 0)
			return mr_decode_wrong(field, slot, ERRCODE_INVALID_TEXT_REPRESENTATION,
								   field->expected);
		if (number.exponent > 0 && size != 0)
		{
			if (number.exponent > 18 || size > limit / integer_tens[number.exponent] + 1)
				return out_of_range(field, slot);
			size *= integer_tens[number.exponent];
		}
	}
	if (unlikely(size > limit + (negative ? 1 : 0)))
		return out_of_range(field, slot);
	result = negative ? (int64) (0 - size) : (int64) size;
	*value = field->type_id == INT4OID   ? Int32GetDatum((int32) result)
			 : field->type_id == INT2OID ? Int16GetDatum((int16) result)
										 : Int64GetDatum(result);
	return NULL;
}

MrFailure *
mr_convert_float8(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	MrJsonSlot number;
	NumberIs is = find_number(field, slot, &number);
	int exponent = number.exponent;
	char *string;
	double result;

	if (unlikely(is != IS_NUMBER))
		return no_number(field, slot, is, value);
	if (likely(!(number.flags & MR_JSON_INEXACT) && number.mantissa <= UINT64CONST(1) << 53 &&
			   exponent >= -22 && exponent <= 22))
	{
		result = (double) (int64) number.mantissa;
		result = exponent < 0 ? result / float8_tens[-exponent] : result * float8_tens[exponent];
		if (number.flags & MR_JSON_NEGATIVE)
			result = -result;
	}
	else
	{
		string = pnstrdup(number.start, number.length);
		errno = 0;
		result = strtod(string, NULL);
		pfree(string);
		if (errno == ERANGE && (result == 0 || isinf(result)))
			return out_of_range(field, slot);
	}
	*value = Float8GetDatum(result);
	return NULL;
}

MrFailure *
mr_convert_float4(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	MrJsonSlot number;
	NumberIs is = find_number(field, slot, &number);
	int exponent = number.exponent;
	char *string;
	float result;

	if (unlikely(is != IS_NUMBER))
		return no_number(field, slot, is, value);
	if (likely(!(number.flags & MR_JSON_INEXACT) && number.mantissa <= UINT64CONST(1) << 24 &&
			   exponent >= -10 && exponent <= 10))
	{
		result = (float) (int64) number.mantissa;
		result = exponent < 0 ? result / float4_tens[-exponent] : result * float4_tens[exponent];
		if (number.flags & MR_JSON_NEGATIVE)
			result = -result;
	}
	else
	{
		string = pnstrdup(number.start, number.length);
		errno = 0;
		result = strtof(string, NULL);
		pfree(string);
		if (errno == ERANGE && (result == 0 || isinf(result)))
			return out_of_range(field, slot);
	}
	*value = Float4GetDatum(result);
	return NULL;
}

MrFailure *
mr_convert_numeric(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	MrJsonSlot number;
	NumberIs is = find_number(field, slot, &number);

	if (unlikely(is != IS_NUMBER))
		return no_number(field, slot, is, value);
	if (likely(small_numeric(&number, field->typmod, value)))
		return NULL;
	return mr_convert_input(field, slot, value);
}

/* The number a slot holds or, for a string, spells. number->exponent and flags are set in any case. */
static NumberIs
find_number(const MrDecodeField *field, const MrJsonSlot *slot, MrJsonSlot *number)
{
	MrJsonError error;
	const char *p = slot->start;
	int length = slot->length;

	*number = *slot;
	if (likely(slot->kind == MR_JSON_NUMBER))
		return IS_NUMBER;
	number->exponent = 0;
	if (slot->kind != MR_JSON_STRING || slot->length > LONGEST_NUMBER_STRING ||
		(slot->flags & (MR_JSON_ESCAPED | MR_JSON_NOT_ASCII)))
		return IS_NOT_NUMBER;
	while (length > 0 && *p == ' ')
		p++, length--;
	while (length > 0 && p[length - 1] == ' ')
		length--;
	if (mr_json_scan_whole(p, length, number, &error) && number->kind == MR_JSON_NUMBER)
		return IS_NUMBER;
	number->exponent = 0;
	/* +1, .5, 5., 007: not JSON, but numbers to PostgreSQL */
	if (length > 0 && (int) strspn(p, "0123456789+-.eE") >= length)
		return IS_MAYBE;
	if (field->type_id != INT2OID && field->type_id != INT4OID && field->type_id != INT8OID &&
		is_special(p, length))
		return IS_MAYBE;
	return IS_NOT_NUMBER;
}

/* NaN and the infinities, which JSON numbers cannot be */
static bool
is_special(const char *p, int length)
{
	static const char *const words[] = {"nan", "infinity", "inf"};

	if (length > 0 && (*p == '-' || *p == '+'))
		p++, length--;
	for (int i = 0; i < lengthof(words); i++)
		if (length == (int) strlen(words[i]) && pg_strncasecmp(p, words[i], length) == 0)
			return true;
	return false;
}

static MrFailure *
no_number(MrDecodeField *field, const MrJsonSlot *slot, NumberIs is, Datum *value)
{
	if (is == IS_MAYBE)
		return mr_convert_input(field, slot, value);
	return mr_decode_wrong(field, slot, ERRCODE_INVALID_TEXT_REPRESENTATION, field->expected);
}

static MrFailure *
out_of_range(const MrDecodeField *field, const MrJsonSlot *slot)
{
	return mr_decode_trouble(field, slot, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "is out of range");
}

/* Up to 18 digits, and no rounding for the type modifier. */
static bool
small_numeric(const MrJsonSlot *number, int32 typmod, Datum *value)
{
	int64 digits = (int64) number->mantissa;
	int scale = -number->exponent;
	int precision = 18;

	if ((number->flags & MR_JSON_INEXACT) || number->mantissa >= integer_tens[18] || scale < 0 ||
		scale > 18)
		return false;
	if (typmod >= (int32) VARHDRSZ)
	{
		int wanted = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;

		precision = Min(precision, (typmod - VARHDRSZ) >> 16 & 0xffff);
		if (wanted < scale || wanted > precision)
			return false;
		if (number->mantissa >= integer_tens[precision - (wanted - scale)])
			return false;
		digits *= (int64) integer_tens[wanted - scale];
		scale = wanted;
	}
	if (number->flags & MR_JSON_NEGATIVE)
		digits = -digits;
	*value = NumericGetDatum(int64_div_fast_to_numeric(digits, scale));
	return true;
}
