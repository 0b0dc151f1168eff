/* Where a program listens, as its options have it: "address:port", "[v6]:port". */
#ifndef MR_COMMON_ADDRESS_H
#define MR_COMMON_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

/* Splits it; the brackets of an IPv6 address are left out. False: it is of another form, or longer than the buffer. */
extern bool mr_address_split(const char *listen, char *host, size_t host_size, int *port);
/* Whether an option has that form; else `error` says what was found, and what was expected. */
extern bool mr_address_check(const char *option, const char *listen, char *error,
							 size_t error_size);
/* The port that a socket really listens on; 0 when that is not known. */
extern int mr_address_port(int fd);
/* The address without the port that a socket is bound to, as digits. False: it has none. */
extern bool mr_address_of(int fd, char *host, size_t host_size);

#endif
