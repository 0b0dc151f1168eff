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
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "decode/decode_field.h"

/* Characters of a string that may still be a number to input functions. */
#define LONGEST_NUMBER_STRING 400

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

static bool number_in_string(MrDecodeField *field, const MrJsonSlot *slot, MrJsonSlot *number,
							 Datum *value, MrFailure **failure);
static Datum read_money(MrDecodeField *field, void *string);
static bool is_special(const char *p, int length);
static MrFailure *scale_integer(const MrDecodeField *field, const MrJsonSlot *slot,
								const MrJsonSlot *number, uint64 limit, uint64 *size);
static MrFailure *not_a_number(const MrDecodeField *field, const MrJsonSlot *slot);
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
	const MrJsonSlot *number = slot;
	MrJsonSlot buffer;
	MrFailure *failure;
	uint64 limit;
	uint64 size;
	int64 result;

	if (unlikely(slot->kind != MR_JSON_NUMBER))
	{
		if (!number_in_string(field, slot, &buffer, value, &failure))
			return failure;
		number = &buffer;
	}
	limit = field->type_id == INT4OID   ? PG_INT32_MAX
			: field->type_id == INT2OID ? PG_INT16_MAX
										: PG_INT64_MAX;
	size = number->mantissa;
	if (unlikely(number->exponent != 0 || (number->flags & MR_JSON_INEXACT)))
	{
		failure = scale_integer(field, slot, number, limit, &size);
		if (failure != NULL)
			return failure;
	}
	if (unlikely(size > limit + (number->flags & MR_JSON_NEGATIVE ? 1 : 0)))
		return out_of_range(field, slot);
	result = (int64) (number->flags & MR_JSON_NEGATIVE ? 0 - size : size);
	*value = field->type_id == INT4OID   ? Int32GetDatum((int32) result)
			 : field->type_id == INT2OID ? Int16GetDatum((int16) result)
										 : Int64GetDatum(result);
	return NULL;
}

MrFailure *
mr_convert_float8(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	const MrJsonSlot *number = slot;
	MrJsonSlot buffer;
	MrFailure *failure;
	char *string;
	double result;

	if (unlikely(slot->kind != MR_JSON_NUMBER))
	{
		if (!number_in_string(field, slot, &buffer, value, &failure))
			return failure;
		number = &buffer;
	}
	if (likely(!(number->flags & MR_JSON_INEXACT) && number->mantissa <= UINT64CONST(1) << 53 &&
			   number->exponent >= -22 && number->exponent <= 22))
	{
		result = (double) (int64) number->mantissa;
		result = number->exponent < 0 ? result / float8_tens[-number->exponent]
									  : result * float8_tens[number->exponent];
		if (number->flags & MR_JSON_NEGATIVE)
			result = -result;
	}
	else
	{
		string = pnstrdup(number->start, number->length);
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
	const MrJsonSlot *number = slot;
	MrJsonSlot buffer;
	MrFailure *failure;
	char *string;
	float result;

	if (unlikely(slot->kind != MR_JSON_NUMBER))
	{
		if (!number_in_string(field, slot, &buffer, value, &failure))
			return failure;
		number = &buffer;
	}
	if (likely(!(number->flags & MR_JSON_INEXACT) && number->mantissa <= UINT64CONST(1) << 24 &&
			   number->exponent >= -10 && number->exponent <= 10))
	{
		result = (float) (int64) number->mantissa;
		result = number->exponent < 0 ? result / float4_tens[-number->exponent]
									  : result * float4_tens[number->exponent];
		if (number->flags & MR_JSON_NEGATIVE)
			result = -result;
	}
	else
	{
		string = pnstrdup(number->start, number->length);
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
	const MrJsonSlot *number = slot;
	MrJsonSlot buffer;
	MrFailure *failure;

	if (unlikely(slot->kind != MR_JSON_NUMBER))
	{
		if (!number_in_string(field, slot, &buffer, value, &failure))
			return failure;
		number = &buffer;
	}
	if (likely(small_numeric(number, field->typmod, value)))
		return NULL;
	return mr_decode_by_input(field, slot, pnstrdup(number->start, number->length), value);
}

/* A number as any other, whatever lc_monetary says of commas; a dollar sign may precede it. */
MrFailure *
mr_convert_money(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	MrJsonSlot number = *slot;
	MrJsonSlot amount = *slot;
	MrFailure *failure;

	if (slot->kind == MR_JSON_STRING)
	{
		const char *sign = memchr(slot->start, '$', slot->length);

		if (sign != NULL && (sign == slot->start || (sign == slot->start + 1 &&
													 (*slot->start == '-' || *slot->start == '+'))))
		{
			amount.start = psprintf("%.*s%.*s", (int) (sign - slot->start), slot->start,
									(int) (slot->start + slot->length - sign - 1), sign + 1);
			amount.length--;
		}
	}
	if (slot->kind != MR_JSON_NUMBER && !number_in_string(field, &amount, &number, value, &failure))
	{
		/* of the string as it is, with its currency sign */
		if (failure != NULL && amount.start != slot->start)
			failure->message =
				mr_decode_wrong(field, slot, failure->sqlstate, field->expected)->message;
		return failure;
	}
	return mr_decode_guarded(field, slot, read_money, pnstrdup(number.start, number.length), value);
}

static Datum
read_money(MrDecodeField *field, void *string)
{
	return DirectFunctionCall1(numeric_cash,
							   DirectFunctionCall3(numeric_in, CStringGetDatum((char *) string),
												   ObjectIdGetDatum(0), Int32GetDatum(-1)));
}

/*
 * The number a string spells, true when it is in *number. Otherwise the input function has been asked,
 * if the string could be a number to it alone, and *failure and *value are the answer.
 */
static bool
number_in_string(MrDecodeField *field, const MrJsonSlot *slot, MrJsonSlot *number, Datum *value,
				 MrFailure **failure)
{
	bool integer =
		field->type_id == INT2OID || field->type_id == INT4OID || field->type_id == INT8OID;
	bool plain = field->reading->number_style == MR_NUMBER_PLAIN;
	MrJsonError error;
	const char *p = slot->start;
	int length = slot->length;

	*failure = NULL;
	if (slot->kind != MR_JSON_STRING || slot->length > LONGEST_NUMBER_STRING ||
		(slot->flags & (MR_JSON_ESCAPED | (plain ? MR_JSON_NOT_ASCII : 0))))
	{
		*failure = not_a_number(field, slot);
		return false;
	}
	while (length > 0 && *p == ' ')
		p++, length--;
	while (length > 0 && p[length - 1] == ' ')
		length--;
	if (!plain && !is_special(p, length))
	{
		char *number_text = palloc(length + 1);

		if (!mr_number_to_plain(field->reading->number_style, p, length, number_text))
		{
			*failure = not_a_number(field, slot);
			return false;
		}
		p = number_text;
		length = (int) strlen(p);
	}
	if (mr_json_scan_whole(p, length, number, &error) && number->kind == MR_JSON_NUMBER)
		return true;
	/* +1, .5, 5., 007 and, but for integers, NaN: not JSON's numbers, but PostgreSQL's */
	if ((length > 0 && (int) strspn(p, "0123456789+-.eE") >= length) ||
		(!integer && is_special(p, length)))
		*failure = mr_decode_by_input(field, slot, pnstrdup(p, length), value);
	else
		*failure = not_a_number(field, slot);
	return false;
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

/* 1.0 and 1e3: an integer all the same, if the exponent leaves no fraction. */
static MrFailure *
scale_integer(const MrDecodeField *field, const MrJsonSlot *slot, const MrJsonSlot *number,
			  uint64 limit, uint64 *size)
{
	int exponent = number->exponent;

	if (number->flags & MR_JSON_INEXACT) /* over 19 digits: too large, or a long fraction */
		return exponent < 0 ? not_a_number(field, slot) : out_of_range(field, slot);
	if (*size == 0)
		return NULL;
	for (; exponent < 0 && *size % 10 == 0; exponent++)
		*size /= 10;
	if (exponent < 0)
		return not_a_number(field, slot);
	if (exponent > 18 || *size > limit / integer_tens[exponent] + 1)
		return out_of_range(field, slot);
	*size *= integer_tens[exponent];
	return NULL;
}

static MrFailure *
not_a_number(const MrDecodeField *field, const MrJsonSlot *slot)
{
	MrFailure *failure =
		mr_decode_wrong(field, slot, ERRCODE_INVALID_TEXT_REPRESENTATION, field->expected);
	static const char *const read[] = {
		[MR_NUMBER_PLAIN] =
			"Add NUMBER_STYLE 'comma' to the field if its numbers are written as 1.234,5, or "
			"NUMBER_STYLE 'point' if as 1,234.5.",
		[MR_NUMBER_POINT] = "Numbers of this field are read as 1,234.5 (NUMBER_STYLE 'point').",
		[MR_NUMBER_COMMA] = "Numbers of this field are read as 1.234,5 (NUMBER_STYLE 'comma')."};

	/* of digits and separators */
	if (slot->kind == MR_JSON_STRING && slot->length > 1 && slot->length <= LONGEST_NUMBER_STRING &&
		memchr(slot->start, ',', slot->length) != NULL &&
		(int) strspn(slot->start, "0123456789.,' +-") >= slot->length)
		failure->hint = read[field->reading->number_style];
	return failure;
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
