/* The query string of a request, and a form of that media type, as names and values; pure. */
#ifndef MR_API_PARAMS_H
#define MR_API_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buffer.h"

#define MR_PARAMS_MAX 64

typedef struct MrParam
{
	char *name;
	char *value;
} MrParam;

typedef struct MrParams
{
	MrParam items[MR_PARAMS_MAX];
	int count;
} MrParams;

/*
 * Splits "a=1&b=2" (NULL: nothing), decodes %XX and "+" as HTML forms have them. False: a parameter is given twice, has
 * no name, or there are more than 64; `error` says which.
 */
extern bool mr_params_parse(MrParams *params, const char *query, char *error, size_t error_size)
	__attribute__((warn_unused_result));
/* The same of another text (of a form), to those that are there. False: as above, and `params` is as it was before the text. */
extern bool mr_params_add(MrParams *params, const char *form, char *error, size_t error_size)
	__attribute__((warn_unused_result));
extern void mr_params_free(MrParams *params);
extern void mr_params_copy(MrParams *to, const MrParams *from);
/* The same names and values, in the same order? */
extern bool mr_params_equal(const MrParams *a, const MrParams *b);
/* NULL: not given. */
extern const char *mr_params_get(const MrParams *params, const char *name);

/*
 * A parameter that takes one of a list of values; *value is NULL when it is not given. False: it has another value, which
 * `error` names, with those that it may have.
 */
extern bool mr_params_choose(const MrParams *params, const char *name, const char *const *allowed,
							 int count, const char **value, char *error, size_t error_size)
	__attribute__((warn_unused_result));
/* Likewise one that takes a number, in digits; *number is left as it is when it is not given. */
extern bool mr_params_number(const MrParams *params, const char *name, int min, int max,
							 int *number, char *error, size_t error_size)
	__attribute__((warn_unused_result));

/* Decodes %XX, and "+" when it is a form's; the text has been checked by the guard. The caller frees it. */
extern char *mr_percent_decode(const char *text, size_t len, bool form);
/* Decodes %XX of a text that nobody has checked, such as a header field; NULL: it is not UTF-8 without NUL, or a % is wrong. */
extern char *mr_percent_decode_unchecked(const char *text, size_t len);
/* Appends text in which all but unreserved characters are written as %XX. */
extern void mr_percent_encode(MrBuffer *out, const char *text);

/* The name that is most like `name`, at most a third of it changed; NULL: none is. */
extern const char *mr_nearest_name(const char *name, const char *const *known, int count);

#endif
