#include "api/request/accept.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct Range
{
	const char *type;
	size_t len;
	int quality; /* of 1000 */
} Range;

static bool is_range(const Range *range, const char *name);
static const char *next_range(const char *at, Range *range);
static int specificity(const Range *range, const char *type);
static int parse_quality(const char *text);

int
mr_accept_choose(const char *accept, const char *const *types, int count)
{
	int best = -1;
	int best_quality = 0;

	if (accept == NULL || accept[strspn(accept, " \t")] == '\0')
		return 0;
	for (int i = 0; i < count; i++)
	{
		int quality = 0;
		int specific = 0;
		Range range;

		/* of the ranges that have this type, the most specific one counts */
		for (const char *at = accept; (at = next_range(at, &range)) != NULL;)
		{
			int s = specificity(&range, types[i]);

			if (s > specific)
			{
				specific = s;
				quality = range.quality;
			}
		}
		if (quality > best_quality)
		{
			best = i;
			best_quality = quality;
		}
	}
	return best;
}

bool
mr_accept_gzip(const char *accept_encoding)
{
	int gzip = -1;
	int identity = -1;
	int other = -1;
	Range range;

	for (const char *at = accept_encoding; at != NULL && (at = next_range(at, &range)) != NULL;)
	{
		if (is_range(&range, "gzip") || is_range(&range, "x-gzip"))
			gzip = range.quality;
		else if (is_range(&range, "identity"))
			identity = range.quality;
		else if (is_range(&range, "*"))
			other = range.quality;
	}
	if (gzip < 0)
		gzip = other;
	/* without a coding is always possible, and of least worth unless it is named */
	return gzip > 0 && gzip >= identity;
}

bool
mr_media_type_is(const char *content_type, const char *type)
{
	size_t len = strlen(type);

	return content_type != NULL && strncasecmp(content_type, type, len) == 0 &&
		   (content_type[len] == '\0' || strchr("; \t", content_type[len]) != NULL);
}

static bool
is_range(const Range *range, const char *name)
{
	return range->len == strlen(name) && strncasecmp(range->type, name, range->len) == 0;
}

/* One element of the list; NULL: there are no more. */
static const char *
next_range(const char *at, Range *range)
{
	size_t len;
	const char *end;

	at += strspn(at, " \t,");
	if (*at == '\0')
		return NULL;
	len = strcspn(at, ",");
	end = at + len;
	range->type = at;
	range->len = strcspn(at, ",; \t");
	range->quality = 1000;
	for (const char *p = memchr(at, ';', len); p != NULL && p < end;
		 p = memchr(p + 1, ';', (size_t) (end - p - 1)))
	{
		const char *name = p + 1 + strspn(p + 1, " \t");

		if (strncasecmp(name, "q=", 2) == 0)
			range->quality = parse_quality(name + 2);
	}
	return end;
}

/* 3: the type itself, 2: type slash star, 1: star slash star, 0: another type. */
static int
specificity(const Range *range, const char *type)
{
	size_t major = strcspn(type, "/") + 1;

	if (is_range(range, type))
		return 3;
	if (range->len == major + 1 && range->type[major] == '*' &&
		strncasecmp(range->type, type, major) == 0)
		return 2;
	return range->len == 3 && memcmp(range->type, "*/*", 3) == 0;
}

static int
parse_quality(const char *text)
{
	double value = strtod(text, NULL);

	return value >= 1 ? 1000 : value > 0 ? (int) (value * 1000) : 0;
}
