/* The target of a request, byte by byte; pure. */
#ifndef MR_API_TARGET_H
#define MR_API_TARGET_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether an origin-form target ("/path?query") is one: characters of RFC 3986 only, each % with two hexadecimal
 * digits, never %00, and path and query are valid UTF-8 once decoded. On failure *why is a sentence for the client.
 */
extern bool mr_target_check(const char *target, size_t len, const char **why);

/*
 * Whether a text is what a query may be (a form that comes as a body): the same characters, and as strictly. On failure
 * *why, too.
 */
extern bool mr_form_check(const char *form, size_t len, const char **why);

/* One decoded byte of %XX; -1 when `text` is not % and two hexadecimal digits. */
extern int mr_percent_byte(const char *text, size_t len);

#endif
