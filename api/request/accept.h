/* Content negotiation by the header fields Accept and Accept-Encoding (RFC 9110, section 12.5), and media types; pure. */
#ifndef MR_API_ACCEPT_H
#define MR_API_ACCEPT_H

#include <stdbool.h>

/*
 * Which of `types` ("application/json", …), in our own order of preference, the client wants most; the first when it
 * does not say (NULL). -1: none of them.
 */
extern int mr_accept_choose(const char *accept, const char *const *types, int count);

/* Does the client (NULL: it does not say) want the coding gzip at least as much as none? */
extern bool mr_accept_gzip(const char *accept_encoding);

/* Is it that media type, with or without parameters? content_type: NULL: not sent. */
extern bool mr_media_type_is(const char *content_type, const char *type);

#endif
