#include "api/database/snapshot.h"

#include <inttypes.h>
#include <stdlib.h>

static bool take_number(const char **at, uint64_t *number);
static uint64_t xmax_of(const char *text);
static size_t running(const char *text);

bool
mr_snapshot_is_valid(const char *text)
{
	uint64_t xmin;
	uint64_t xmax;
	uint64_t xip;
	uint64_t least;

	if (!take_number(&text, &xmin) || xmin == 0 || *text++ != ':' || !take_number(&text, &xmax) ||
		xmax < xmin || *text++ != ':')
		return false;
	for (least = xmin; *text != '\0'; least = xip + 1)
	{
		if (!take_number(&text, &xip) || xip < least || xip >= xmax)
			return false;
		if (*text == ',' && text[1] != '\0')
			text++;
		else if (*text != '\0')
			return false;
	}
	return true;
}

/* xmax only grows; with the same xmax those that still run only become fewer. */
int
mr_snapshot_compare(const char *a, const char *b)
{
	uint64_t a_max = xmax_of(a);
	uint64_t b_max = xmax_of(b);
	size_t a_running = running(a);
	size_t b_running = running(b);

	if (a_max != b_max)
		return a_max < b_max ? -1 : 1;
	return a_running > b_running ? -1 : a_running < b_running;
}

/* "xmin-span-gap-gap…": each number as the distance to the one before; those of running transactions are small. */
void
mr_snapshot_pack(MrBuffer *out, const char *text)
{
	uint64_t xmin = 0;
	uint64_t xmax = 0;
	uint64_t xip;
	uint64_t before;

	take_number(&text, &xmin);
	text++;
	take_number(&text, &xmax);
	text++;
	mr_buffer_printf(out, "%" PRIu64 "-%" PRIu64, xmin, xmax - xmin);
	for (before = xmin; *text != '\0'; before = xip)
	{
		take_number(&text, &xip);
		mr_buffer_printf(out, "-%" PRIu64, xip - before);
		text += *text == ',';
	}
}

bool
mr_snapshot_unpack(MrBuffer *out, const char *packed, size_t len)
{
	char *text = mr_calloc(1, len + 1);
	const char *at = text;
	size_t began = out->len;
	uint64_t number = 0;
	uint64_t span = 0;
	bool first = true;
	bool ok;

	memcpy(text, packed, len);
	ok = take_number(&at, &number) && *at++ == '-' && take_number(&at, &span);
	if (ok)
		mr_buffer_printf(out, "%" PRIu64 ":%" PRIu64 ":", number, number + span);
	while (ok && *at == '-')
	{
		at++;
		ok = take_number(&at, &span);
		number += span;
		mr_buffer_printf(out, "%s%" PRIu64, first ? "" : ",", number);
		first = false;
	}
	ok = ok && (size_t) (at - text) == len && mr_snapshot_is_valid(mr_buffer_string(out) + began);
	free(text);
	return ok;
}

/* Up to 2^63: sums of two do not overflow. */
static bool
take_number(const char **at, uint64_t *number)
{
	const char *digit = *at;

	for (*number = 0; *digit >= '0' && *digit <= '9'; digit++)
		if (digit - *at > 18)
			return false;
		else
			*number = *number * 10 + (uint64_t) (*digit - '0');
	if (digit == *at)
		return false;
	*at = digit;
	return true;
}

static uint64_t
xmax_of(const char *text)
{
	uint64_t number;

	take_number(&text, &number);
	text++;
	take_number(&text, &number);
	return number;
}

static size_t
running(const char *text)
{
	const char *list = strrchr(text, ':') + 1;
	size_t count = *list != '\0';

	for (; *list != '\0'; list++)
		count += *list == ',';
	return count;
}
