#include "api/database/row_json.h"

#include <stdlib.h>

/* A value is at most this much longer than its text, but for escapes: quotes, and the minutes of a time zone. */
#define VALUE_EXTRA  16
#define ESCAPED_SIZE 6 /* \u001f */

/* What the text of a value is as JSON. */
typedef enum Form
{
	FORM_TEXT,   /* a string of any characters */
	FORM_PLAIN,  /* a string of characters that need no escape */
	FORM_NUMBER, /* a number; a string when it is none: NaN, Infinity */
	FORM_BOOLEAN,
	FORM_TIMESTAMP, /* a string, in the form of XML Schema */
	FORM_JSON
} Form;

typedef struct KnownType
{
	Oid oid; /* in the catalog of every version */
	const char *name;
	Form form;
} KnownType;

typedef struct Column
{
	const char *label; /* with what is before and behind it: ,"name": */
	size_t label_len;
	Form form;
} Column;

struct MrRowJson
{
	const PGresult *result;
	MrBuffer labels;
	int count;
	Column columns[];
};

static const KnownType known_types[] = {
	{16, "boolean", FORM_BOOLEAN},
	{17, "bytea", FORM_TEXT},
	{18, "\"char\"", FORM_TEXT},
	{19, "name", FORM_TEXT},
	{20, "bigint", FORM_PLAIN},
	{21, "smallint", FORM_NUMBER},
	{23, "integer", FORM_NUMBER},
	{25, "text", FORM_TEXT},
	{26, "oid", FORM_PLAIN},
	{28, "xid", FORM_PLAIN},
	{114, "json", FORM_JSON},
	{650, "cidr", FORM_PLAIN},
	{700, "real", FORM_NUMBER},
	{701, "double precision", FORM_NUMBER},
	{829, "macaddr", FORM_PLAIN},
	{869, "inet", FORM_PLAIN},
	{1042, "bpchar", FORM_TEXT},
	{1043, "character varying", FORM_TEXT},
	{1082, "date", FORM_PLAIN},
	{1083, "time without time zone", FORM_PLAIN},
	{1114, "timestamp without time zone", FORM_TIMESTAMP},
	{1184, "timestamp with time zone", FORM_TIMESTAMP},
	{1186, "interval", FORM_TEXT},
	{1266, "time with time zone", FORM_PLAIN},
	{1700, "numeric", FORM_NUMBER},
	{2950, "uuid", FORM_PLAIN},
	{3614, "tsvector", FORM_TEXT},
	{3802, "jsonb", FORM_JSON},
	{5069, "xid8", FORM_PLAIN},
};

static bool is_type(const char *type, const char *name);
static Form form_of(Oid type);
static void put_value(Form form, const char *text, size_t len, MrBuffer *out);
static void put_string(const char *text, size_t len, MrBuffer *out);
static void put_timestamp(const char *text, size_t len, MrBuffer *out);
static void put_escaped(const char *text, size_t len, MrBuffer *out);
static void put_escape(unsigned char c, MrBuffer *out);
static void put(MrBuffer *out, const char *data, size_t len);

/* The form of the values of a type; NULL: it is not known. */
static const Form *
form_of_name(const char *type)
{
	for (size_t i = 0; i < sizeof(known_types) / sizeof(known_types[0]); i++)
		if (is_type(type, known_types[i].name))
			return &known_types[i].form;
	return NULL;
}

bool
mr_row_json_knows(const char *type)
{
	return form_of_name(type) != NULL;
}

bool
mr_row_json_has_numbers(const char *type)
{
	const Form *form = form_of_name(type);

	return form != NULL && (*form == FORM_NUMBER || *form == FORM_JSON);
}

MrRowJson *
mr_row_json_new(const PGresult *result, int count)
{
	MrRowJson *rows = mr_calloc(1, sizeof(*rows) + sizeof(Column) * (size_t) count);
	const char *label;

	rows->result = result;
	rows->count = count;
	for (int i = 0; i < count; i++)
	{
		const char *name = PQfname(result, i);
		size_t before = rows->labels.len;

		mr_buffer_append(&rows->labels, i == 0 ? "{" : ",", 1);
		mr_buffer_reserve(&rows->labels, strlen(name) + VALUE_EXTRA);
		put_escaped(name, strlen(name), &rows->labels);
		mr_buffer_append(&rows->labels, ":", 1);
		rows->columns[i].label_len = rows->labels.len - before;
		rows->columns[i].form = form_of(PQftype(result, i));
	}
	label = rows->labels.data;
	for (int i = 0; i < count; i++)
	{
		rows->columns[i].label = label;
		label += rows->columns[i].label_len;
	}
	return rows;
}

void
mr_row_json_put(const MrRowJson *rows, int row, MrBuffer *out)
{
	for (int i = 0; i < rows->count; i++)
	{
		const Column *column = &rows->columns[i];
		size_t len = (size_t) PQgetlength(rows->result, row, i);

		mr_buffer_reserve(out, column->label_len + len + VALUE_EXTRA);
		put(out, column->label, column->label_len);
		if (len == 0 && PQgetisnull(rows->result, row, i))
			put(out, "null", 4);
		else
			put_value(column->form, PQgetvalue(rows->result, row, i), len, out);
	}
	mr_buffer_append(out, "}", 1);
}

void
mr_row_json_free(MrRowJson *rows)
{
	mr_buffer_free(&rows->labels);
	free(rows);
}

/* Whatever its modifiers: timestamp(3) with time zone. */
static bool
is_type(const char *type, const char *name)
{
	while (*type != '\0' && (*type == *name || *type == '('))
	{
		if (*type == '(')
		{
			type += strcspn(type, ")");
			type += *type != '\0';
			continue;
		}
		type++;
		name++;
	}
	return *type == '\0' && *name == '\0';
}

/* What became another type since the relation was described is a string, and the document is valid. */
static Form
form_of(Oid type)
{
	for (size_t i = 0; i < sizeof(known_types) / sizeof(known_types[0]); i++)
		if (known_types[i].oid == type)
			return known_types[i].form;
	return FORM_TEXT;
}

/* There is room for the text and VALUE_EXTRA. */
static void
put_value(Form form, const char *text, size_t len, MrBuffer *out)
{
	switch (form)
	{
		case FORM_TEXT:
			put_escaped(text, len, out);
			break;
		case FORM_PLAIN:
			put_string(text, len, out);
			break;
		case FORM_NUMBER:
			if (text[*text == '-'] >= '0' && text[*text == '-'] <= '9')
				put(out, text, len);
			else
				put_string(text, len, out);
			break;
		case FORM_BOOLEAN:
			put(out, *text == 't' ? "true" : "false", *text == 't' ? 4 : 5);
			break;
		case FORM_TIMESTAMP:
			put_timestamp(text, len, out);
			break;
		case FORM_JSON:
			put(out, text, len);
			break;
	}
}

static void
put_string(const char *text, size_t len, MrBuffer *out)
{
	put(out, "\"", 1);
	put(out, text, len);
	put(out, "\"", 1);
}

/* 0044-03-15 12:00:00.5+00 BC is 0044-03-15T12:00:00.5+00:00 BC there. infinity has no time. */
static void
put_timestamp(const char *text, size_t len, MrBuffer *out)
{
	size_t date = strcspn(text, " ");
	size_t clock;
	size_t zone;

	if (date == len)
	{
		put_string(text, len, out);
		return;
	}
	clock = strcspn(text + date, "+-");
	zone = strcspn(text + date + clock, " ");
	put(out, "\"", 1);
	put(out, text, date + clock);
	out->data[out->len - clock] = 'T';
	put(out, text + date + clock, zone);
	if (zone == 3)
		put(out, ":00", 3);
	put(out, text + date + clock + zone, len - date - clock - zone);
	put(out, "\"", 1);
}

/* Each byte as escape_json() has it: what is not ASCII stays, and so does DEL. */
static void
put_escaped(const char *text, size_t len, MrBuffer *out)
{
	const char *end = text + len;

	put(out, "\"", 1);
	while (text < end)
	{
		const char *from = text;

		while (text < end && (unsigned char) *text >= ' ' && *text != '"' && *text != '\\')
			text++;
		put(out, from, (size_t) (text - from));
		if (text == end)
			break;
		mr_buffer_reserve(out, (size_t) (end - text) + ESCAPED_SIZE + VALUE_EXTRA);
		put_escape((unsigned char) *text++, out);
	}
	put(out, "\"", 1);
}

static void
put_escape(unsigned char c, MrBuffer *out)
{
	static const char digits[] = "0123456789abcdef";
	static const char letters[' '] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
	const char letter = c < ' ' ? letters[c] : (char) c;
	const char code[ESCAPED_SIZE] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};

	if (letter == '\0')
	{
		put(out, code, sizeof(code));
		return;
	}
	put(out, "\\", 1);
	put(out, &letter, 1);
}

/* There is room. */
static void
put(MrBuffer *out, const char *data, size_t len)
{
	memcpy(out->data + out->len, data, len);
	out->len += len;
}
