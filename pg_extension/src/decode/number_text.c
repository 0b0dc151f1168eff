/*
 * number_text.c - numbers as people write them, to numbers as programs do
 *
 *     1,234,567.5  (point)        1.234.567,5    1 234 567,5    1'234'567,5  (comma)
 *
 * Groups have three digits, but for the first, and one separator throughout: 1.23 is no number in the style comma, nor
 * 12,34 in the style point, and neither is taken for 123 or 1234.
 */
#include "postgres.h"

#include "decode/decode_field.h"

static int separator_at(MrNumberStyle style, const char *p, const char *end);

bool
mr_number_to_plain(MrNumberStyle style, const char *text, int length, char *plain)
{
	const char decimal = style == MR_NUMBER_COMMA ? ',' : '.';
	const char *p = text;
	const char *end = text + length;
	const char *separator = NULL;
	int separator_length = 0;
	int group = 0;

	if (p < end && (*p == '-' || *p == '+'))
		*plain++ = *p++;
	for (; p < end; group++)
	{
		int n = separator_at(style, p, end);

		if (*p >= '0' && *p <= '9')
		{
			*plain++ = *p++;
			continue;
		}
		if (n == 0)
			break;
		if (separator == NULL ? group == 0 || group > 3
							  : group != 3 || n != separator_length || memcmp(separator, p, n) != 0)
			return false;
		separator = p;
		separator_length = n;
		p += n;
		group = -1;
	}
	if (separator != NULL && group != 3)
		return false;
	if (p < end && *p == decimal)
	{
		*plain++ = '.';
		for (p++; p < end && *p >= '0' && *p <= '9';)
			*plain++ = *p++;
	}
	/* 1.5e3, where the groups do not say that people wrote it */
	if (p < end && (*p == 'e' || *p == 'E') && separator == NULL)
		while (p < end)
			*plain++ = *p++;
	*plain = '\0';
	return p == end && length > 0;
}

/* The length of a separator of groups: the other sign, or a space, also one that does not break. */
static int
separator_at(MrNumberStyle style, const char *p, const char *end)
{
	if (*p == (style == MR_NUMBER_COMMA ? '.' : ',') || *p == ' ' || *p == '\'')
		return 1;
	if (end - p >= 2 && memcmp(p, "\xc2\xa0", 2) == 0)
		return 2;
	if (end - p >= 3 && (memcmp(p, "\xe2\x80\xaf", 3) == 0 || memcmp(p, "\xe2\x80\x99", 3) == 0))
		return 3;
	return 0;
}
