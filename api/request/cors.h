/*
 * Pages of which other origins may use the API from a browser (CORS, as the Fetch standard has it): those of
 * --cors-origin. Credentials of the browser (cookies, certificates) are never asked for: a page sends its key itself.
 */
#ifndef MR_API_CORS_H
#define MR_API_CORS_H

#include <stdbool.h>

#include "common/options.h"

struct MrExchange;

/* Is it an origin (SCHEME://HOST, with a port or not) or "*"? For the option. */
extern bool mr_cors_is_origin(const char *text);
/* The value of Access-Control-Allow-Origin for a request's Origin (NULL: not sent); NULL: the page may not. Pure. */
extern const char *mr_cors_allowed(const char *origin, const MrStrings *origins);
/* Is the origin named, not only by "*"? What a request without a key may change is for these. Pure. */
extern bool mr_cors_is_named(const char *origin, const MrStrings *origins);

/* Adds to the answer what its page needs to read it. */
extern void mr_cors_put(struct MrExchange *exchange);
/* Answers the question of a browser before another request; false: it is no such question, or not of an allowed page. */
extern bool mr_cors_preflight(struct MrExchange *exchange);

#endif
