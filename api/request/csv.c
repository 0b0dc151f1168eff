#include "api/request/csv.h"

#include <stdlib.h>

static bool is_number(const char *text);

void
mr_csv_cell(MrBuffer *out, const char *text, bool of_numbers, bool raw)
{
	bool prefix;

	if (text == NULL)
		return;
	prefix = !raw && *text != '\0' && strchr("=+-@\t\r", *text) != NULL &&
			 !(of_numbers && is_number(text));
	/* an empty text is quoted: it is not NULL */
	if (*text != '\0' && !prefix && strpbrk(text, ",\"\r\n") == NULL)
	{
		mr_buffer_append(out, text, strlen(text));
		return;
	}
	mr_buffer_append(out, prefix ? "\"'" : "\"", prefix ? 2 : 1);
	for (; *text != '\0'; text++)
	{
		if (*text == '"')
			mr_buffer_append(out, "\"", 1);
		mr_buffer_append(out, text, 1);
	}
	mr_buffer_append(out, "\"", 1);
}

/* White space before it is none of it. */
static bool
is_number(const char *text)
{
	char *end;

	strtod(text, &end);
	return end != text && *end == '\0' && strpbrk(text, "xXnN \t\r\n") == NULL;
}
