/* Content negotiation by the Accept header field (RFC 9110, section 12.5.1); pure. */
#ifndef MR_API_ACCEPT_H
#define MR_API_ACCEPT_H

/*
 * Which of `types` ("application/json", …), in our own order of preference, the client wants most; the first when it
 * does not say (NULL). -1: none of them.
 */
extern int mr_accept_choose(const char *accept, const char *const *types, int count);

#endif
