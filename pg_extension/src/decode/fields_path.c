/*
 * fields_path.c - reading the paths of fields
 *
 *     $.a."b c"[0]              in the payload
 *     key    key.a.b    key[0]  the message's key, and in a key that is JSON
 *     header.trace    header."x y"[0]  the last header of the name, or the one of that number
 *
 * A small part of SQL/JSON paths in their own syntax: what can be found in one pass. No wildcards, no
 * filters: a field is one value.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "decode/fields_path.h"

static const char *header_path(const char **p, MrField *field);
static const char *key_step(const char **p, MrPathStep *step);
static const char *quoted_step(const char **p, MrPathStep *step);
static const char *index_step(const char **p, MrPathStep *step);
static bool is_key_char(char c);

const char *
mr_path_parse(const char *path, MrField *field, int *at)
{
	const char *p = path;
	const char *problem = NULL;

	field->steps = palloc0(sizeof(MrPathStep) * MR_FIELDS_MAX_STEPS);
	field->step_count = 0;
	if (strncmp(p, "header.", 7) == 0)
	{
		problem = header_path(&p, field);
		*at = pg_mbstrlen_with_len(path, p - path);
		return problem;
	}
	if (*p == '$')
		p++;
	else if (strncmp(p, "key", 3) == 0 && (p[3] == '\0' || p[3] == '.' || p[3] == '['))
	{
		p += 3;
		field->source = *p == '\0' ? MR_FROM_KEY : MR_FROM_JSON_KEY;
	}
	else
		problem = "it must begin with $, key or header.";
	while (problem == NULL && *p != '\0')
	{
		MrPathStep *step = &field->steps[field->step_count];

		if (field->step_count == MR_FIELDS_MAX_STEPS)
			problem = "it has too many steps";
		else if (p[0] == '.' && p[1] == '"')
			problem = quoted_step(&p, step);
		else if (*p == '.')
			problem = key_step(&p, step);
		else if (*p == '[')
			problem = index_step(&p, step);
		else
			problem = "expected a step, .key or [index]";
		field->step_count++;
	}
	*at = pg_mbstrlen_with_len(path, p - path);
	return problem;
}

/* A name as a step of a path, and a number counting from 0. */
static const char *
header_path(const char **p, MrField *field)
{
	MrPathStep step = {0};
	const char *problem;

	field->source = MR_FROM_HEADER;
	field->header_number = -1;
	*p += strlen("header");
	problem = (*p)[1] == '"' ? quoted_step(p, &step) : key_step(p, &step);
	if (problem != NULL)
		return problem;
	field->header = step.key;
	if (**p == '[')
	{
		problem = index_step(p, &step);
		field->header_number = step.index;
	}
	if (problem == NULL && **p != '\0')
		problem = "expected its end: a header is one value";
	return problem;
}

static const char *
key_step(const char **p, MrPathStep *step)
{
	const char *start = ++*p;

	while (is_key_char(**p))
		++*p;
	step->key_length = *p - start;
	step->key = pnstrdup(start, step->key_length);
	if (step->key_length > 0)
		return NULL;
	if (**p == '*')
		return "wildcards are not supported";
	return **p == '\0' ? "a key is missing at its end" : "a key with this character must be quoted";
}

/* Escapes are those of a backslash before a quote or a backslash; other characters are themselves. */
static const char *
quoted_step(const char **p, MrPathStep *step)
{
	StringInfoData key;

	initStringInfo(&key);
	for (*p += 2; **p != '"'; ++*p)
	{
		if (**p == '\\' && ((*p)[1] == '"' || (*p)[1] == '\\'))
			++*p;
		else if (**p == '\\')
			return "only \\\" and \\\\ can follow a backslash";
		if (**p == '\0')
			return "the quoted key does not end";
		appendStringInfoChar(&key, **p);
	}
	++*p;
	step->key = key.data;
	step->key_length = key.len;
	return NULL;
}

static const char *
index_step(const char **p, MrPathStep *step)
{
	int64 index = 0;
	const char *digits = ++*p;

	if (**p == '*')
		return "wildcards are not supported";
	for (; **p >= '0' && **p <= '9'; ++*p)
	{
		index = index * 10 + (**p - '0');
		if (index > PG_INT32_MAX)
			return "the index is too large";
	}
	if (*p == digits)
		return "expected an index, counting from 0";
	if (**p != ']')
		return "expected ]";
	++*p;
	step->index = (int) index;
	return NULL;
}

static bool
is_key_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
		   c == '-' || c == '$' || (unsigned char) c >= 0x80;
}
