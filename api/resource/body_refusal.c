#include "api/resource/body_refusal.h"

#include <stdarg.h>
#include <stdio.h>

bool
mr_body_refuse(const MrBodyRefusal *refusal, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(refusal->error, refusal->size, fmt, args);
	va_end(args);
	return false;
}
