/* What is wrong with the JSON body of a request, in words for its client. Pure. */
#ifndef MR_API_BODY_REFUSAL_H
#define MR_API_BODY_REFUSAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct MrBodyRefusal
{
	char *error; /* receives the words */
	size_t size;
} MrBodyRefusal;

/* False, so that a check can return it. */
extern bool mr_body_refuse(const MrBodyRefusal *refusal, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* False: a member has another value than `expected` says. */
extern bool mr_body_refuse_value(const MrBodyRefusal *refusal, const char *name,
								 const json_t *value, const char *expected);

#endif
