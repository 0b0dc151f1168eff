/* JSON's escapes. */
#include "common/json.h"

static size_t utf8_length(const unsigned char *bytes, size_t len);

void
mr_json_put_string(MrBuffer *out, const char *text)
{
	size_t len = strlen(text);

	while (len > 0 && text[len - 1] == '\n')
		len--;
	mr_buffer_append(out, "\"", 1);
	for (size_t i = 0; i < len;)
	{
		unsigned char c = (unsigned char) text[i];
		size_t bytes = utf8_length((const unsigned char *) &text[i], len - i);

		if (c == '"' || c == '\\')
			mr_buffer_printf(out, "\\%c", c);
		else if (c == '\n')
			mr_buffer_append(out, "\\n", 2);
		else if (c == '\t')
			mr_buffer_append(out, "\\t", 2);
		else if (c < 0x20 || c == 0x7f)
			mr_buffer_printf(out, "\\u%04x", c);
		else if (bytes == 0)
			mr_buffer_append(out, "?", 1);
		else
			mr_buffer_append(out, &text[i], bytes);
		i += bytes > 0 ? bytes : 1;
	}
	mr_buffer_append(out, "\"", 1);
}

/* Bytes of the character at the beginning, as RFC 3629 allows them; 0: none. */
static size_t
utf8_length(const unsigned char *bytes, size_t len)
{
	unsigned char first = bytes[0];
	size_t more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
	unsigned char least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	unsigned char most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

	if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || more >= len)
		return 0;
	for (size_t i = 1; i <= more; i++)
		if (bytes[i] < (i == 1 ? least : 0x80) || bytes[i] > (i == 1 ? most : 0xbf))
			return 0;
	return more + 1;
}
