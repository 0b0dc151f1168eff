/*
 * json_scan_lex.h - the tokens of JSON: white space, strings, numbers, literals
 *
 * Inline because they are the inner loop of json_scan.c, which alone includes this. Each function takes
 * the position and returns the one behind the token, or NULL after noting the error.
 */
#ifndef MR_JSON_SCAN_LEX_H
#define MR_JSON_SCAN_LEX_H

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "decode/json_scan.h"

#define likely_(x)   __builtin_expect((x) != 0, 1)
#define unlikely_(x) __builtin_expect((x) != 0, 0)

typedef struct Scan
{
	const char *begin;
	const char *end;
	unsigned flags; /* MR_JSON_... of the value being scanned */
	int depth;
	uint32_t generation; /* of the plan: one per document */
	MrJsonPlan *plan;
	MrJsonSlot *slots;
	MrJsonError *error;
} Scan;

static inline const char *
scan_fail(Scan *s, MrJsonErrorCode code, const char *at)
{
	/* a document cut off inside something: the end is what is wrong, not the thing */
	s->error->code = (at >= s->end && code != MR_JSON_BAD_DEPTH) ? MR_JSON_BAD_END : code;
	s->error->offset = (int) (at - s->begin);
	return NULL;
}

static inline const char *
lex_space(const Scan *s, const char *p)
{
	while (p < s->end && unlikely_((unsigned char) *p <= ' ') &&
		   (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/*
 * A word whose lowest set high-bit marks the first byte that needs a look: quote, backslash, control, over
 * 0x7f.
 */
static inline uint64_t
special_bytes(uint64_t w)
{
	uint64_t quote = w ^ EACH_BYTE('"');
	uint64_t backslash = w ^ EACH_BYTE('\\');

	return (((quote - EACH_BYTE(1)) & ~quote) | ((backslash - EACH_BYTE(1)) & ~backslash) |
			(w - EACH_BYTE(0x20)) | w) &
		   EACH_BYTE(0x80);
}

/* The first byte at or after p that is not plain printable ASCII inside a string. */
static inline const char *
lex_plain(const Scan *s, const char *p)
{
#ifdef __SSE2__
	while (s->end - p >= 16)
	{
		__m128i v = _mm_loadu_si128((const __m128i *) p);
		/* as signed bytes, both controls and what is over 0x7f are less than a space */
		__m128i special = _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(' ')),
									   _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
													_mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
		int mask = _mm_movemask_epi8(special);

		if (mask != 0)
			return p + __builtin_ctz((unsigned) mask);
		p += 16;
	}
#endif
	while (s->end - p >= 8)
	{
		uint64_t w;

		memcpy(&w, p, 8);
		w = special_bytes(w);
		if (w != 0)
		{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
			return p + (__builtin_ctzll(w) >> 3);
#else
			break; /* borrows run the other way: find it byte by byte */
#endif
		}
		p += 8;
	}
	while (p < s->end && (unsigned char) *p >= 0x20 && (unsigned char) *p < 0x80 && *p != '"' &&
		   *p != '\\')
		p++;
	return p;
}

/* Four hexadecimal digits at p, which a cut-off document may not have. */
static const char *
lex_hex4(Scan *s, const char *p, int *value)
{
	const char *escape = p - 2;

	*value = 0;
	for (int i = 0; i < 4; i++, p++)
	{
		int c = p < s->end ? (unsigned char) *p : -1;
		int lower = c | 0x20;

		if (c >= '0' && c <= '9')
			*value = *value << 4 | (c - '0');
		else if (c > 0 && lower >= 'a' && lower <= 'f')
			*value = *value << 4 | (lower - 'a' + 10);
		else
			return scan_fail(s, MR_JSON_BAD_ESCAPE, c < 0 ? p : escape);
	}
	return p;
}

/* p is behind "\u" */
static const char *
lex_unicode_escape(Scan *s, const char *p)
{
	const char *escape = p - 2;
	int unit;

	p = lex_hex4(s, p, &unit);
	if (p == NULL)
		return NULL;
	if (unit == 0)
		s->flags |= MR_JSON_HAS_NUL;
	if ((unit & 0xf800) != 0xd800)
		return p;
	if (unit >= 0xdc00)
		return scan_fail(s, MR_JSON_BAD_SURROGATE, escape);
	for (int i = 0; i < 2; i++, p++)
	{
		if (p >= s->end)
			return scan_fail(s, MR_JSON_BAD_END, p);
		if (*p != "\\u"[i])
			return scan_fail(s, MR_JSON_BAD_SURROGATE, escape);
	}
	p = lex_hex4(s, p, &unit);
	if (p != NULL && (unit & 0xfc00) != 0xdc00)
		return scan_fail(s, MR_JSON_BAD_SURROGATE, escape);
	return p;
}

/* p is at a backslash */
static const char *
lex_escape(Scan *s, const char *p)
{
	s->flags |= MR_JSON_ESCAPED;
	if (s->end - p < 2)
		return scan_fail(s, MR_JSON_BAD_ESCAPE, s->end);
	switch (p[1])
	{
		case '"':
		case '\\':
		case '/':
		case 'b':
		case 'f':
		case 'n':
		case 'r':
		case 't':
			return p + 2;
		case 'u':
			return lex_unicode_escape(s, p + 2);
		default:
			return scan_fail(s, MR_JSON_BAD_ESCAPE, p);
	}
}

/* p is behind the opening quote; returns the closing one. */
static inline const char *
lex_string(Scan *s, const char *p)
{
	for (;;)
	{
		unsigned char c;

		p = lex_plain(s, p);
		if (unlikely_(p >= s->end))
			return scan_fail(s, MR_JSON_BAD_END, p);
		c = (unsigned char) *p;
		if (likely_(c == '"'))
			return p;
		if (c == '\\')
		{
			p = lex_escape(s, p);
			if (p == NULL)
				return NULL;
		}
		else if (c < 0x20)
			return scan_fail(s, MR_JSON_BAD_CONTROL, p);
		else
		{
			s->flags |= MR_JSON_NOT_ASCII;
			do
			{
				int n = mr_json_utf8_length(p, s->end);

				if (n == 0)
					return scan_fail(s, MR_JSON_BAD_UTF8, p);
				p += n;
			} while (p < s->end && (unsigned char) *p >= 0x80);
		}
	}
}

static inline bool
is_digit(const Scan *s, const char *p)
{
	return p < s->end && (unsigned char) (*p - '0') <= 9;
}

/* p is behind the e; adds to *exponent, which stays far from overflow however long the digits. */
static const char *
lex_exponent(Scan *s, const char *p, int *exponent)
{
	int sign = 1;
	int value = 0;

	if (p < s->end && (*p == '+' || *p == '-'))
		sign = *p++ == '-' ? -1 : 1;
	if (!is_digit(s, p))
		return scan_fail(s, MR_JSON_BAD_NUMBER, p);
	for (; is_digit(s, p); p++)
		if (value < 100000000)
			value = value * 10 + (*p - '0');
	if (value > MR_JSON_LONG_DIGITS)
		s->flags |= MR_JSON_LONG_NUMBER;
	*exponent += sign * value;
	return p;
}

/* p is at the first character; a NULL slot is for numbers nobody wants. */
static inline const char *
lex_number(Scan *s, const char *p, MrJsonSlot *slot)
{
	const char *start = p;
	const char *digits;
	uint64_t mantissa = 0;
	int exponent = 0;
	int count;
	unsigned flags = 0;

	if (*p == '-')
	{
		flags = MR_JSON_NEGATIVE;
		p++;
	}
	if (!is_digit(s, p))
		return scan_fail(s, MR_JSON_BAD_NUMBER, p);
	digits = p;
	for (; is_digit(s, p); p++)
		mantissa = mantissa * 10 + (unsigned) (*p - '0');
	count = (int) (p - digits);
	if (unlikely_(*digits == '0' && count > 1))
		return scan_fail(s, MR_JSON_BAD_NUMBER, digits);
	if (p < s->end && *p == '.')
	{
		const char *point = ++p;

		for (; is_digit(s, p); p++)
			mantissa = mantissa * 10 + (unsigned) (*p - '0');
		if (p == point)
			return scan_fail(s, MR_JSON_BAD_NUMBER, p);
		exponent = -(int) (p - point);
		count -= exponent;
	}
	if (p < s->end && (*p | 0x20) == 'e')
	{
		p = lex_exponent(s, p + 1, &exponent);
		if (p == NULL)
			return NULL;
	}
	if (unlikely_(p - start > MR_JSON_LONG_DIGITS))
		s->flags |= MR_JSON_LONG_NUMBER;
	if (slot != NULL)
	{
		slot->kind = MR_JSON_NUMBER;
		slot->flags = (uint8_t) (flags | (s->flags & MR_JSON_LONG_NUMBER) |
								 (count > 19 ? MR_JSON_INEXACT : 0));
		slot->start = start;
		slot->length = (int32_t) (p - start);
		slot->exponent = exponent;
		slot->mantissa = mantissa;
	}
	return p;
}

static inline const char *
lex_literal(Scan *s, const char *p, const char *word, int length)
{
	for (int i = 1; i < length; i++)
		if (p + i >= s->end || p[i] != word[i])
			return scan_fail(s, MR_JSON_BAD_TOKEN, p + i >= s->end ? s->end : p);
	return p + length;
}

#endif
