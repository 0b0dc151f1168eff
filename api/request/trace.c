#include "api/request/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define TRACE_AT 3 /* where the parts of a traceparent begin */
#define SPAN_AT  36
#define FLAGS_AT 53
#define LENGTH   55

static bool is_parent(const char *text);
static bool is_id(const char *text, size_t len);
static void put_hex(char *out, const unsigned char *bytes, size_t count);

void
mr_trace_take(MrTrace *trace, const char *parent, const char *state,
			  const unsigned char random[MR_TRACE_RANDOM])
{
	bool goes_on = parent != NULL && is_parent(parent);

	/* nobody has decided about a new trace: those behind may record it */
	memcpy(trace->parent, "00-00000000000000000000000000000000-0000000000000000-01", LENGTH + 1);
	if (goes_on)
	{
		memcpy(trace->parent + TRACE_AT, parent + TRACE_AT, 32);
		memcpy(trace->parent + FLAGS_AT, parent + FLAGS_AT, 2);
	}
	else
		put_hex(trace->parent + TRACE_AT, random, 16);
	put_hex(trace->parent + SPAN_AT, random + 16, 8);
	memcpy(trace->id, trace->parent + TRACE_AT, 32);
	trace->id[32] = '\0';
	trace->state = goes_on ? state : NULL;
}

/* A later version may have more behind the flags; version ff is none. */
static bool
is_parent(const char *text)
{
	size_t len = strlen(text);

	return len >= LENGTH && strspn(text, "0123456789abcdef") == 2 && strncmp(text, "ff", 2) != 0 &&
		   (len == LENGTH || (strncmp(text, "00", 2) != 0 && text[LENGTH] == '-')) &&
		   text[TRACE_AT - 1] == '-' && is_id(text + TRACE_AT, 32) && text[SPAN_AT - 1] == '-' &&
		   is_id(text + SPAN_AT, 16) && text[FLAGS_AT - 1] == '-' &&
		   strspn(text + FLAGS_AT, "0123456789abcdef") == 2;
}

/* Hexadecimal in small letters, and not all zero. */
static bool
is_id(const char *text, size_t len)
{
	return strspn(text, "0123456789abcdef") == len && strspn(text, "0") < len;
}

static void
put_hex(char *out, const unsigned char *bytes, size_t count)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < count; i++)
	{
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
}
