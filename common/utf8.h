/* UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef MR_COMMON_UTF8_H
#define MR_COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the valid sequence that text begins with, 1 to 4; 0 when it is not valid or cut off. */
extern size_t mr_utf8_sequence(const char *text, size_t len);
extern bool mr_utf8_is_valid(const char *text, size_t len);
/* Bytes of the longest beginning of a valid text that has at most `max` bytes and cuts no character in two. */
extern size_t mr_utf8_fit(const char *text, size_t max);

#endif
