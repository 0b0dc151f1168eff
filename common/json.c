/* JSON's escapes. */
#include "common/json.h"

#include "common/utf8.h"

static size_t plain_run(const char *text, size_t len);

void
mr_json_put_text(MrBuffer *out, const char *text, size_t len, const char *replacement)
{
	mr_buffer_append(out, "\"", 1);
	while (len > 0)
	{
		unsigned char c = (unsigned char) *text;
		size_t run = plain_run(text, len);
		size_t n = run > 0 ? run : mr_utf8_sequence(text, len);

		if (n == 0)
			mr_buffer_append(out, replacement, strlen(replacement));
		else if (c == '"' || c == '\\')
			mr_buffer_printf(out, "\\%c", c);
		else if (c == '\n')
			mr_buffer_append(out, "\\n", 2);
		else if (c == '\t')
			mr_buffer_append(out, "\\t", 2);
		else if (c < 0x20 || c == 0x7f)
			mr_buffer_printf(out, "\\u%04x", c);
		else
			mr_buffer_append(out, text, n);
		n = n > 0 ? n : 1;
		text += n;
		len -= n;
	}
	mr_buffer_append(out, "\"", 1);
}

void
mr_json_put_string(MrBuffer *out, const char *text)
{
	size_t len = strlen(text);

	while (len > 0 && text[len - 1] == '\n')
		len--;
	mr_json_put_text(out, text, len, "?");
}

/* How many bytes at its beginning are ASCII that is written as it is. */
static size_t
plain_run(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && text[n] >= ' ' && text[n] < 0x7f && text[n] != '"' && text[n] != '\\')
		n++;
	return n;
}
