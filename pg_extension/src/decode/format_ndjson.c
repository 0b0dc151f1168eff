/*
 * format_ndjson.c - see format_ndjson.h. Plain C, no PostgreSQL.
 */
#include "decode/format_ndjson.h"

#include <string.h>

static bool is_blank(const char *line, const char *end);

void
mr_ndjson_begin(MrNdjson *message, const char *bytes, int length)
{
	message->next = bytes;
	message->end = bytes + length;
}

bool
mr_ndjson_next(MrNdjson *message, const char **document, int *length)
{
	while (message->next < message->end)
	{
		const char *line = message->next;
		const char *feed = memchr(line, '\n', (size_t) (message->end - line));
		const char *end = feed != NULL ? feed : message->end;

		message->next = feed != NULL ? feed + 1 : message->end;
		if (feed != NULL && end > line && end[-1] == '\r')
			end--;
		if (is_blank(line, end))
			continue;
		*document = line;
		*length = (int) (end - line);
		return true;
	}
	return false;
}

int
mr_ndjson_count(const char *bytes, int length, int max)
{
	MrNdjson message;
	const char *document;
	int document_length;
	int n = 0;

	mr_ndjson_begin(&message, bytes, length);
	while (n <= max && mr_ndjson_next(&message, &document, &document_length))
		n++;
	return n;
}

static bool
is_blank(const char *line, const char *end)
{
	while (line < end && (*line == ' ' || *line == '\t' || *line == '\r'))
		line++;
	return line == end;
}
