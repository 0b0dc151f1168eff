/* The Prefer header field (RFC 7240); pure. */
#ifndef MR_API_PREFER_H
#define MR_API_PREFER_H

#include <stdbool.h>

/* Is NAME=VALUE among the preferences (NULL: none)? Of a name that is there several times the first counts. */
extern bool mr_prefers(const char *prefer, const char *name, const char *value);

#endif
