#include "api/resource/body_refusal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/utf8.h"

#define SHOWN 40 /* bytes of a value */

bool
mr_body_refuse(const MrBodyRefusal *refusal, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(refusal->error, refusal->size, fmt, args);
	va_end(args);
	return false;
}

bool
mr_body_refuse_value(const MrBodyRefusal *refusal, const char *name, const json_t *value,
					 const char *expected)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

	mr_body_refuse(refusal, "%s is %.*s, expected %s.", name,
				   text != NULL ? (int) mr_utf8_fit(text, SHOWN) : 0, text != NULL ? text : "",
				   expected);
	free(text);
	return false;
}
