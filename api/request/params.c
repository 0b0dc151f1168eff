#include "api/request/params.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/wire/target.h"
#include "common/buffer.h"
#include "common/utf8.h"

#define NAME_MAX_LEN    64 /* of a name that is compared with others */
#define SUFFIX_MIN      4  /* characters of a name that another may end with */
#define VALUE_MAX_SHOWN 40 /* bytes */

static bool add(MrParams *params, const char *text, size_t len, char *error, size_t error_size);
static void cut(MrParams *params, int count);
static size_t put_found(char *error, size_t error_size, const char *name, const char *value);
static int distance(const char *a, const char *b, int limit);
static bool ends_with(const char *text, const char *end);
static int least(int a, int b, int c);

bool
mr_params_parse(MrParams *params, const char *query, char *error, size_t error_size)
{
	*params = (MrParams){0};
	return query == NULL || mr_params_add(params, query, error, error_size);
}

bool
mr_params_add(MrParams *params, const char *form, char *error, size_t error_size)
{
	int before = params->count;

	while (*form != '\0')
	{
		size_t len = strcspn(form, "&");

		if (len > 0 && !add(params, form, len, error, error_size))
		{
			cut(params, before);
			return false;
		}
		form += len + (form[len] == '&');
	}
	return true;
}

void
mr_params_free(MrParams *params)
{
	cut(params, 0);
}

void
mr_params_copy(MrParams *to, const MrParams *from)
{
	*to = (MrParams){.count = from->count};
	for (int i = 0; i < from->count; i++)
		to->items[i] = (MrParam){mr_strdup(from->items[i].name), mr_strdup(from->items[i].value)};
}

bool
mr_params_equal(const MrParams *a, const MrParams *b)
{
	for (int i = 0; i < a->count && a->count == b->count; i++)
		if (strcmp(a->items[i].name, b->items[i].name) != 0 ||
			strcmp(a->items[i].value, b->items[i].value) != 0)
			return false;
	return a->count == b->count;
}

const char *
mr_params_get(const MrParams *params, const char *name)
{
	for (int i = 0; i < params->count; i++)
		if (strcmp(params->items[i].name, name) == 0)
			return params->items[i].value;
	return NULL;
}

bool
mr_params_choose(const MrParams *params, const char *name, const char *const *allowed, int count,
				 const char **value, char *error, size_t error_size)
{
	size_t at;

	*value = mr_params_get(params, name);
	for (int i = 0; *value != NULL && i < count; i++)
		if (strcmp(*value, allowed[i]) == 0)
			return true;
	if (*value == NULL)
		return true;
	at = put_found(error, error_size, name, *value);
	for (int i = 0; i < count && at < error_size; i++)
		at += (size_t) snprintf(error + at, error_size - at, "%s%s",
								i == 0           ? ""
								: i == count - 1 ? " or "
												 : ", ",
								allowed[i]);
	if (at < error_size)
		snprintf(error + at, error_size - at, ".");
	return false;
}

bool
mr_params_number(const MrParams *params, const char *name, int min, int max, int *number,
				 char *error, size_t error_size)
{
	const char *text = mr_params_get(params, name);
	size_t digits = text != NULL ? strspn(text, "0123456789") : 0;
	long found = digits > 0 && digits < 10 && text[digits] == '\0' ? strtol(text, NULL, 10) : -1;
	size_t at;

	if (text == NULL)
		return true;
	if (found >= min && found <= max)
	{
		*number = (int) found;
		return true;
	}
	at = put_found(error, error_size, name, text);
	if (at < error_size)
		snprintf(error + at, error_size - at, "a number from %d to %d.", min, max);
	return false;
}

char *
mr_percent_decode(const char *text, size_t len, bool form)
{
	char *out = mr_malloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
	{
		int byte = mr_percent_byte(text + i, len - i);

		if (byte >= 0)
		{
			out[n++] = (char) byte;
			i += 2;
		}
		else
			out[n++] = form && text[i] == '+' ? ' ' : text[i];
	}
	out[n] = '\0';
	return out;
}

char *
mr_percent_decode_unchecked(const char *text, size_t len)
{
	char *out;
	size_t out_len = len;

	for (size_t i = 0; i < len; i++)
	{
		if (text[i] != '%')
			continue;
		if (mr_percent_byte(text + i, len - i) <= 0)
			return NULL;
		out_len -= 2;
	}
	out = mr_percent_decode(text, len, false);
	if (mr_utf8_is_valid(out, out_len))
		return out;
	free(out);
	return NULL;
}

void
mr_percent_encode(MrBuffer *out, const char *text)
{
	for (; *text != '\0'; text++)
	{
		unsigned char c = (unsigned char) *text;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			strchr("-._~", c) != NULL)
			mr_buffer_append(out, text, 1);
		else
			mr_buffer_printf(out, "%%%02X", c);
	}
}

const char *
mr_nearest_name(const char *name, const char *const *known, int count)
{
	const char *best = NULL;
	const char *related = NULL; /* "eventType" for "type", or "type" for "eventType" */
	size_t len = strlen(name);
	int best_distance = (int) len / 3 + 1;

	for (int i = 0; i < count; i++)
	{
		int d = distance(name, known[i], best_distance);

		if (d < best_distance || (best == NULL && d == best_distance))
		{
			best = known[i];
			best_distance = d;
		}
		if (related == NULL && ((len >= SUFFIX_MIN && ends_with(known[i], name)) ||
								(strlen(known[i]) >= SUFFIX_MIN && ends_with(name, known[i]))))
			related = known[i];
	}
	return related != NULL && best_distance > 1 ? related : best;
}

static bool
add(MrParams *params, const char *text, size_t len, char *error, size_t error_size)
{
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals != NULL ? (size_t) (equals - text) : len;
	MrParam *param = &params->items[params->count];

	if (params->count == MR_PARAMS_MAX)
	{
		snprintf(error, error_size, "There are more than %d parameters.", MR_PARAMS_MAX);
		return false;
	}
	param->name = mr_percent_decode(text, name_len, true);
	param->value =
		equals != NULL ? mr_percent_decode(equals + 1, len - name_len - 1, true) : mr_strdup("");
	params->count++;
	if (*param->name == '\0')
	{
		snprintf(error, error_size, "A parameter has no name.");
		return false;
	}
	for (int i = 0; i < params->count - 1; i++)
		if (strcmp(params->items[i].name, param->name) == 0)
		{
			snprintf(error, error_size, "Parameter \"%.64s\" is given twice.", param->name);
			return false;
		}
	return true;
}

/* Takes away what is beyond the first `count`. */
static void
cut(MrParams *params, int count)
{
	while (params->count > count)
	{
		params->count--;
		free(params->items[params->count].name);
		free(params->items[params->count].value);
	}
}

/* The beginning of what is wrong with a value; how long it is. */
static size_t
put_found(char *error, size_t error_size, const char *name, const char *value)
{
	return (size_t) snprintf(error, error_size, "%s is \"%.*s\", expected ", name,
							 (int) mr_utf8_fit(value, VALUE_MAX_SHOWN), value);
}

/*
 * How many characters to insert, leave out, replace or swap with their neighbour (optimal string alignment), without
 * regard to case; more than `limit` for all that is more.
 */
static int
distance(const char *a, const char *b, int limit)
{
	int rows[3][NAME_MAX_LEN + 1];
	size_t a_len = strlen(a);
	size_t b_len = strlen(b);

	if (a_len > NAME_MAX_LEN || b_len > NAME_MAX_LEN)
		return limit + 1;
	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = (int) j;
	for (size_t i = 1; i <= a_len; i++)
	{
		int *row = rows[i % 3];
		const int *above = rows[(i - 1) % 3];
		const int *before = rows[(i + 1) % 3];

		row[0] = (int) i;
		for (size_t j = 1; j <= b_len; j++)
		{
			int same = (a[i - 1] | 0x20) == (b[j - 1] | 0x20);

			row[j] = least(above[j] + 1, row[j - 1] + 1, above[j - 1] + !same);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1, row[j]);
		}
	}
	return rows[a_len % 3][b_len];
}

static bool
ends_with(const char *text, const char *end)
{
	size_t text_len = strlen(text);
	size_t end_len = strlen(end);

	return text_len > end_len && strcasecmp(text + text_len - end_len, end) == 0;
}

static int
least(int a, int b, int c)
{
	int ab = a < b ? a : b;

	return ab < c ? ab : c;
}
