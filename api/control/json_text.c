#include "api/control/json_text.h"

#include "api/control/utf8.h"

void
mr_json_string(MrBuffer *out, const char *text, size_t len)
{
	mr_buffer_append(out, "\"", 1);
	while (len > 0)
	{
		unsigned char c = (unsigned char) *text;
		size_t n = mr_utf8_sequence(text, len);

		if (n == 0)
		{
			mr_buffer_append(out, "\xef\xbf\xbd", 3);
			n = 1;
		}
		else if (c == '"' || c == '\\')
			mr_buffer_printf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			mr_buffer_printf(out, "\\u%04x", c);
		else
			mr_buffer_append(out, text, n);
		text += n;
		len -= n;
	}
	mr_buffer_append(out, "\"", 1);
}

void
mr_json_member(MrBuffer *out, const char *name, const char *value)
{
	if (value == NULL)
		return;
	if (out->len > 0 && out->data[out->len - 1] != '{')
		mr_buffer_append(out, ",", 1);
	mr_json_string(out, name, strlen(name));
	mr_buffer_append(out, ":", 1);
	mr_json_string(out, value, strlen(value));
}
