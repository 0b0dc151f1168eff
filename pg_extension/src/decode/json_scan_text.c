/*
 * json_scan_text.c - the characters of JSON strings: UTF-8, escapes, and showing them in messages
 *
 * Plain C, no PostgreSQL.
 */
#include <stdio.h>
#include <string.h>

#include "decode/json_scan.h"

static int unescape_one(const char **p, char *out);
static int put_utf8(uint32_t c, char *out);
static uint32_t get_utf8(const char *p, int n);
static uint32_t get_hex4(const char *p);
static bool prints(uint32_t c);

int
mr_json_utf8_length(const char *p, const char *end)
{
	const unsigned char *u = (const unsigned char *) p;
	ptrdiff_t left = end - p;

#define TAIL(i) ((u[i] & 0xc0) == 0x80)
	if (u[0] < 0x80)
		return 1;
	if (u[0] < 0xc2)
		return 0; /* a tail byte, or longer than need be */
	if (u[0] < 0xe0)
		return left >= 2 && TAIL(1) ? 2 : 0;
	if (u[0] < 0xf0)
	{
		if (left < 3 || !TAIL(1) || !TAIL(2))
			return 0;
		if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] >= 0xa0))
			return 0; /* longer than need be; a surrogate */
		return 3;
	}
	if (u[0] > 0xf4 || left < 4 || !TAIL(1) || !TAIL(2) || !TAIL(3))
		return 0;
	if ((u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] >= 0x90))
		return 0; /* longer than need be; behind U+10FFFF */
	return 4;
#undef TAIL
}

int
mr_json_unescape(const char *raw, int length, char *out)
{
	const char *p = raw;
	const char *end = raw + length;
	char *start = out;

	while (p < end)
	{
		const char *backslash = memchr(p, '\\', (size_t) (end - p));
		size_t plain = (size_t) ((backslash != NULL ? backslash : end) - p);

		memcpy(out, p, plain);
		out += plain;
		p += plain;
		if (p < end)
			out += unescape_one(&p, out);
	}
	return (int) (out - start);
}

const char *
mr_json_kind_name(MrJsonKind kind)
{
	static const char *const names[] = {"nothing",  "null",     "a boolean", "a boolean",
										"a number", "a string", "an array",  "an object"};

	return names[kind];
}

bool
mr_json_same_key(const char *raw, int length, const char *key, int key_length)
{
	const char *p = raw;
	const char *end = raw + length;
	const char *key_end = key + key_length;

	while (p < end)
	{
		char c[4];
		int n = 1;

		if (*p == '\\')
			n = unescape_one(&p, c);
		else
			c[0] = *p++;
		if (key_end - key < n || memcmp(key, c, (size_t) n) != 0)
			return false;
		key += n;
	}
	return key == key_end;
}

void
mr_json_print(const char *raw, int length, int max, char *out)
{
	const char *p = raw;
	const char *end = raw + length;

	for (int shown = 0; p < end; shown++)
	{
		int n = mr_json_utf8_length(p, end);

		if (shown == max)
		{
			strcpy(out, "...");
			return;
		}
		if (n == 0)
		{
			out += sprintf(out, "\\x%02x", (unsigned char) *p++);
			continue;
		}
		if (prints(get_utf8(p, n)))
		{
			memcpy(out, p, (size_t) n);
			out += n;
		}
		else
			out += sprintf(out, "\\u%04x", get_utf8(p, n));
		p += n;
	}
	*out = '\0';
}

/* *p is at a backslash of a validated string */
static int
unescape_one(const char **p, char *out)
{
	char c = (*p)[1];
	uint32_t code;

	*p += 2;
	switch (c)
	{
		case 'b':
			*out = '\b';
			return 1;
		case 'f':
			*out = '\f';
			return 1;
		case 'n':
			*out = '\n';
			return 1;
		case 'r':
			*out = '\r';
			return 1;
		case 't':
			*out = '\t';
			return 1;
		case 'u':
			break;
		default:
			*out = c;
			return 1;
	}
	code = get_hex4(*p);
	*p += 4;
	if (code >= 0xd800 && code < 0xdc00)
	{
		/* the scan has seen to it that the other half follows */
		code = 0x10000 + ((code - 0xd800) << 10) + (get_hex4(*p + 2) - 0xdc00);
		*p += 6;
	}
	return put_utf8(code, out);
}

static int
put_utf8(uint32_t c, char *out)
{
	if (c < 0x80)
	{
		out[0] = (char) c;
		return 1;
	}
	if (c < 0x800)
	{
		out[0] = (char) (0xc0 | c >> 6);
		out[1] = (char) (0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000)
	{
		out[0] = (char) (0xe0 | c >> 12);
		out[1] = (char) (0x80 | (c >> 6 & 0x3f));
		out[2] = (char) (0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char) (0xf0 | c >> 18);
	out[1] = (char) (0x80 | (c >> 12 & 0x3f));
	out[2] = (char) (0x80 | (c >> 6 & 0x3f));
	out[3] = (char) (0x80 | (c & 0x3f));
	return 4;
}

static uint32_t
get_utf8(const char *p, int n)
{
	static const unsigned char first[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t c = (unsigned char) p[0] & first[n];

	for (int i = 1; i < n; i++)
		c = c << 6 | ((unsigned char) p[i] & 0x3f);
	return c;
}

static uint32_t
get_hex4(const char *p)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++)
	{
		unsigned char c = (unsigned char) p[i];

		value = value << 4 | (uint32_t) (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return value;
}

/* Not: controls, and what changes the direction or the look of the text around it. */
static bool
prints(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	if ((c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
		(c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c == 0xfff9 || c == 0xfffa || c == 0xfffb)
		return false;
	return true;
}
