/*
 * For which hosts requests are served: without keys a browser that a foreign name led here (DNS rebinding) must be
 * turned away. Pure.
 */
#ifndef MR_API_HOST_H
#define MR_API_HOST_H

#include <stdbool.h>

#include "common/options.h"

/* Is the Host field (NULL: not sent) a name of the loopback, or one of `allowed`? Ports do not matter, nor does case. */
extern bool mr_host_is_allowed(const char *host, const MrStrings *allowed);
/*
 * Do the fields that a browser adds (Origin, Sec-Fetch-Site; NULL: not sent) say that one of our own pages sends the
 * request? A client that is no browser sends neither.
 */
extern bool mr_is_same_site(const char *origin, const char *site, const MrStrings *allowed);
/* Is this the address of a loopback interface? */
extern bool mr_address_is_loopback(const char *address);

#endif
