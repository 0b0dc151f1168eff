#include "common/utf8.h"

#include <string.h>

/* The table of well-formed sequences of the Unicode standard (table 3-7), by the range of the second byte. */
size_t
mr_utf8_sequence(const char *text, size_t len)
{
	const unsigned char *b = (const unsigned char *) text;
	unsigned char low = 0x80;
	unsigned char high = 0xbf;
	size_t need;

	if (len == 0)
		return 0;
	if (b[0] < 0x80)
		return 1;
	if (b[0] < 0xc2 || b[0] > 0xf4)
		return 0;
	need = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
	if (b[0] == 0xe0)
		low = 0xa0;
	else if (b[0] == 0xed)
		high = 0x9f;
	else if (b[0] == 0xf0)
		low = 0x90;
	else if (b[0] == 0xf4)
		high = 0x8f;
	if (len < need || b[1] < low || b[1] > high)
		return 0;
	for (size_t i = 2; i < need; i++)
		if (b[i] < 0x80 || b[i] > 0xbf)
			return 0;
	return need;
}

size_t
mr_utf8_fit(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);

	if (len <= max)
		return len;
	/* at a byte that continues a character the cut would be within it */
	for (len = max; len > 0 && ((unsigned char) text[len] & 0xc0) == 0x80;)
		len--;
	return len;
}

bool
mr_utf8_is_valid(const char *text, size_t len)
{
	while (len > 0)
	{
		size_t n = mr_utf8_sequence(text, len);

		if (n == 0)
			return false;
		text += n;
		len -= n;
	}
	return true;
}
