/*
 * fields_option.c - see fields_option.h
 *
 * Goes over the list with just so much of SQL's lexical rules as it takes to know what is inside of strings, comments and
 * parentheses. What it mistakes, the grammar refuses.
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

#include "decode/fields_option.h"
#include "decode/reading.h"

typedef struct Lexer
{
	char *text; /* options are replaced by spaces */
	char *p;
	int depth;  /* of parentheses and brackets */
	int column; /* of the list */
	int words;  /* of the column so far, a quoted one and each string included */
} Lexer;

static bool skip_space_or_comment(Lexer *lexer);
static void skip_quoted(Lexer *lexer, char quote, bool backslashes);
static bool skip_dollar_quoted(Lexer *lexer);
static bool is_word_char(char c);
static void take_word(Lexer *lexer, List **options);
static char *take_value(Lexer *lexer);

char *
mr_field_options_take(const char *list, List **options)
{
	Lexer lexer = {.text = pstrdup(list)};

	*options = NIL;
	lexer.p = lexer.text;
	while (*lexer.p != '\0')
	{
		char c = *lexer.p;

		if (skip_space_or_comment(&lexer) || (c == '$' && skip_dollar_quoted(&lexer)))
			continue;
		if (c == '\'' || c == '"')
		{
			skip_quoted(&lexer, c, false);
			lexer.words++;
		}
		else if (is_word_char(c))
			take_word(&lexer, options);
		else
		{
			lexer.depth += c == '(' || c == '[' ? 1 : c == ')' || c == ']' ? -1 : 0;
			if (c == ',' && lexer.depth == 0)
			{
				lexer.column++;
				lexer.words = 0;
			}
			lexer.p++;
		}
	}
	return lexer.text;
}

bool
mr_field_option_is_for(const char *option, Oid type_id)
{
	Oid element = InvalidOid;
	bool time;

	type_id = getBaseType(type_id);
	while (OidIsValid(element = get_element_type(type_id)))
		type_id = getBaseType(element);
	time = type_id == DATEOID || type_id == TIMESTAMPOID || type_id == TIMESTAMPTZOID ||
		   type_id == TIMEOID || type_id == TIMETZOID;
	if (get_typtype(type_id) != TYPTYPE_BASE)
		return pg_strcasecmp(option, "epoch") != 0 && pg_strcasecmp(option, "bytea_format") != 0 &&
			   pg_strcasecmp(option, "number_style") !=
				   0; /* a range or a row may have times inside */
	if (pg_strcasecmp(option, "bytea_format") == 0)
		return type_id == BYTEAOID;
	if (pg_strcasecmp(option, "number_style") == 0)
		return type_id == INT2OID || type_id == INT4OID || type_id == INT8OID ||
			   type_id == FLOAT4OID || type_id == FLOAT8OID || type_id == NUMERICOID ||
			   type_id == MONEYOID;
	if (pg_strcasecmp(option, "interval_style") == 0)
		return type_id == INTERVALOID;
	if (pg_strcasecmp(option, "epoch") == 0)
		return type_id == INTERVALOID || (time && type_id != TIMETZOID);
	return time;
}

static bool
skip_space_or_comment(Lexer *lexer)
{
	char *p = lexer->p;

	if (isspace((unsigned char) *p))
		p++;
	else if (p[0] == '-' && p[1] == '-')
		p += strcspn(p, "\r\n");
	else if (p[0] == '/' && p[1] == '*')
	{
		int level = 0;

		do
		{
			if (p[0] == '/' && p[1] == '*')
				level++, p += 2;
			else if (p[0] == '*' && p[1] == '/')
				level--, p += 2;
			else
				p++;
		} while (level > 0 && *p != '\0');
	}
	else
		return false;
	lexer->p = p;
	return true;
}

/* p is at the quote. Doubled quotes need no care: they end one string and begin another. */
static void
skip_quoted(Lexer *lexer, char quote, bool backslashes)
{
	for (lexer->p++; *lexer->p != '\0' && *lexer->p != quote; lexer->p++)
		if (backslashes && *lexer->p == '\\' && lexer->p[1] != '\0')
			lexer->p++;
	if (*lexer->p != '\0')
		lexer->p++;
}

static bool
skip_dollar_quoted(Lexer *lexer)
{
	char *p = lexer->p + 1;
	char *tag;
	char *end;

	while (isalnum((unsigned char) *p) || *p == '_' || IS_HIGHBIT_SET(*p))
		p++;
	if (*p != '$')
		return false;
	tag = pnstrdup(lexer->p, p + 1 - lexer->p);
	end = strstr(p + 1, tag);
	lexer->p = end != NULL ? end + strlen(tag) : p + strlen(p);
	lexer->words++;
	return true;
}

static bool
is_word_char(char c)
{
	return isalnum((unsigned char) c) || c == '_' || IS_HIGHBIT_SET(c);
}

static void
take_word(Lexer *lexer, List **options)
{
	char *start = lexer->p;
	char *word;
	char *value;

	while (is_word_char(*lexer->p) || *lexer->p == '$')
		lexer->p++;
	word = pnstrdup(start, lexer->p - start);
	/* E'...' has escapes of its own */
	if (*lexer->p == '\'' && pg_strcasecmp(word, "e") == 0)
		skip_quoted(lexer, '\'', true);
	/* name and type come first */
	if (++lexer->words < 3 || lexer->depth > 0 || !mr_reading_has(word))
		return;
	value = take_value(lexer);
	if (value != NULL)
	{
		MrFieldOption *option = palloc(sizeof(MrFieldOption));

		*option = (MrFieldOption){.column = lexer->column,
								  .name = word,
								  .value = value,
								  .location = (int) (start - lexer->text)};
		*options = lappend(*options, option);
		memset(start, ' ', lexer->p - start);
	}
}

/* A word or a string; NULL: neither is there, which is the grammar's to refuse. */
static char *
take_value(Lexer *lexer)
{
	char *start;

	while (skip_space_or_comment(lexer))
		;
	start = lexer->p;
	if (*start == '\'')
	{
		skip_quoted(lexer, '\'', false);
		return lexer->p[-1] == '\'' && lexer->p - start >= 2
				   ? pnstrdup(start + 1, lexer->p - start - 2)
				   : NULL;
	}
	while (is_word_char(*lexer->p) || *lexer->p == '/' || *lexer->p == '+')
		lexer->p++;
	return lexer->p > start ? pnstrdup(start, lexer->p - start) : NULL;
}
