#include "api/wire/target.h"

#include <stdlib.h>
#include <string.h>

#include "api/wire/limits.h"
#include "common/buffer.h"
#include "common/utf8.h"

static const char *flaw_of(const char *text, size_t len, char *decoded);
static int hex_digit(char c);
static bool is_uri_byte(char c);

bool
mr_target_check(const char *target, size_t len, const char **why)
{
	char decoded[MR_TARGET_MAX];

	if (len == 0 || target[0] != '/')
	{
		*why = "The target does not begin with \"/\".";
		return false;
	}
	if (len > 1 && target[1] == '/')
	{
		*why = "The target begins with \"//\", which is an authority to some.";
		return false;
	}
	/* the caller has compared the length */
	*why = flaw_of(target, len < MR_TARGET_MAX ? len : MR_TARGET_MAX, decoded);
	return *why == NULL;
}

bool
mr_form_check(const char *form, size_t len, const char **why)
{
	char *decoded = mr_malloc(len + 1);

	*why = flaw_of(form, len, decoded);
	free(decoded);
	return *why == NULL;
}

int
mr_percent_byte(const char *text, size_t len)
{
	int high;
	int low;

	if (len < 3 || text[0] != '%')
		return -1;
	high = hex_digit(text[1]);
	low = hex_digit(text[2]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* NULL: none. decoded: room for as many bytes as the text has. */
static const char *
flaw_of(const char *text, size_t len, char *decoded)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
	{
		int byte = (unsigned char) text[i];

		if (text[i] == '%')
		{
			byte = mr_percent_byte(text + i, len - i);
			if (byte < 0)
				return "A % is not followed by two hexadecimal digits.";
			if (byte == 0)
				return "%00 stands for a NUL byte, which no value can contain.";
			i += 2;
		}
		else if (!is_uri_byte(text[i]))
			return "A character is not written as %XX that must be.";
		decoded[n++] = (char) byte;
	}
	return mr_utf8_is_valid(decoded, n) ? NULL : "Decoded it is not valid UTF-8.";
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* What path and query may contain by RFC 3986, sections 3.3 and 3.4. The fragment (#) is never sent. */
static bool
is_uri_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		   (c != '\0' && strchr("-._~!$&'()*+,;=:@/?", c) != NULL);
}
