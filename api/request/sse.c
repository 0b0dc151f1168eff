#include "api/request/sse.h"

static size_t line_length(const char *data, size_t len);

void
mr_sse_event(MrBuffer *out, const char *name, const char *id, const char *data, size_t len)
{
	if (name != NULL)
		mr_buffer_printf(out, "event: %s\n", name);
	if (id != NULL)
		mr_buffer_printf(out, "id: %s\n", id);
	for (;;)
	{
		size_t line = line_length(data, len);

		mr_buffer_append(out, "data: ", 6);
		mr_buffer_append(out, data, line);
		mr_buffer_append(out, "\n", 1);
		if (line == len)
			break;
		line += data[line] == '\r' && line + 1 < len && data[line + 1] == '\n' ? 2 : 1;
		data += line;
		len -= line;
	}
	mr_buffer_append(out, "\n", 1);
}

void
mr_sse_retry(MrBuffer *out, int ms)
{
	mr_buffer_printf(out, "retry: %d\n\n", ms);
}

void
mr_sse_comment(MrBuffer *out)
{
	mr_buffer_append(out, ":\n\n", 3);
}

static size_t
line_length(const char *data, size_t len)
{
	size_t at = 0;

	while (at < len && data[at] != '\n' && data[at] != '\r')
		at++;
	return at;
}
