#include "api/wire/target.h"

#include <string.h>

#include "common/utf8.h"
#include "api/wire/limits.h"

static int hex_digit(char c);
static bool is_uri_byte(char c);

bool
mr_target_check(const char *target, size_t len, const char **why)
{
	char decoded[MR_TARGET_MAX];
	size_t n = 0;

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
	for (size_t i = 0; i < len; i++)
	{
		int byte = (unsigned char) target[i];

		if (target[i] == '%')
		{
			byte = mr_percent_byte(target + i, len - i);
			if (byte < 0)
				*why = "A % is not followed by two hexadecimal digits.";
			else if (byte == 0)
				*why = "%00 stands for a NUL byte, which no value can contain.";
			if (byte <= 0)
				return false;
			i += 2;
		}
		else if (!is_uri_byte(target[i]))
		{
			*why = "The target contains a character that must be written as %XX.";
			return false;
		}
		if (n == sizeof(decoded))
			break; /* the caller has compared the length */
		decoded[n++] = (char) byte;
	}
	if (!mr_utf8_is_valid(decoded, n))
	{
		*why = "The target is not valid UTF-8 once it is decoded.";
		return false;
	}
	return true;
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
