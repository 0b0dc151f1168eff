#include "api/request/prefer.h"

#include <string.h>
#include <strings.h>

static bool is_value(const char *text, size_t len, const char *value);

bool
mr_prefers(const char *prefer, const char *name, const char *value)
{
	size_t name_len = strlen(name);

	while (prefer != NULL && *prefer != '\0')
	{
		size_t len;

		prefer += strspn(prefer, " \t,");
		len = strcspn(prefer, ",; \t=");
		if (len == name_len && strncasecmp(prefer, name, len) == 0)
		{
			prefer += len + strspn(prefer + len, " \t");
			if (*prefer != '=')
				return false;
			prefer += 1 + strspn(prefer + 1, " \t");
			return is_value(prefer, strcspn(prefer, ",; \t"), value);
		}
		prefer += strcspn(prefer, ",");
	}
	return false;
}

/* A token, or the same in quotes. */
static bool
is_value(const char *text, size_t len, const char *value)
{
	if (len >= 2 && *text == '"' && text[len - 1] == '"')
	{
		text++;
		len -= 2;
	}
	return len == strlen(value) && strncmp(text, value, len) == 0;
}
