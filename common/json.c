/* JSON's escapes; bytes of UTF-8 pass as they are. */
#include "common/json.h"

void
mr_json_put_string(MrBuffer *out, const char *text)
{
	size_t len = strlen(text);

	while (len > 0 && text[len - 1] == '\n')
		len--;
	mr_buffer_append(out, "\"", 1);
	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) text[i];

		if (c == '"' || c == '\\')
			mr_buffer_printf(out, "\\%c", c);
		else if (c == '\n')
			mr_buffer_append(out, "\\n", 2);
		else if (c == '\t')
			mr_buffer_append(out, "\\t", 2);
		else if (c < 0x20 || c == 0x7f)
			mr_buffer_printf(out, "\\u%04x", c);
		else
			mr_buffer_append(out, &text[i], 1);
	}
	mr_buffer_append(out, "\"", 1);
}
