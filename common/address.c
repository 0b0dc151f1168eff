#include "common/address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

bool
mr_address_split(const char *listen, char *host, size_t host_size, int *port)
{
	const char *colon = strrchr(listen, ':');
	size_t len = colon ? (size_t) (colon - listen) : 0;
	char *end;

	if (colon == NULL || len == 0 || len >= host_size)
		return false;
	if (listen[0] == '[' && listen[len - 1] == ']')
	{
		listen++;
		len -= 2;
	}
	memcpy(host, listen, len);
	host[len] = '\0';
	*port = (int) strtol(colon + 1, &end, 10);
	return colon[1] != '\0' && *end == '\0' && *port >= 0 && *port <= 65535;
}

bool
mr_address_check(const char *option, const char *listen, char *error, size_t error_size)
{
	char host[256];
	int port;

	if (mr_address_split(listen, host, sizeof(host), &port))
		return true;
	snprintf(error, error_size,
			 "--%s is \"%.200s\", expected ADDRESS:PORT, such as 127.0.0.1:9465 or [::1]:9465",
			 option, listen);
	return false;
}

int
mr_address_port(int fd)
{
	union
	{
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address;
	socklen_t len = sizeof(address);

	memset(&address, 0, sizeof(address));
	if (getsockname(fd, &address.any, &len) != 0)
		return 0;
	return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

bool
mr_address_of(int fd, char *host, size_t host_size)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);

	return getsockname(fd, (struct sockaddr *) &address, &len) == 0 &&
		   getnameinfo((struct sockaddr *) &address, len, host, (socklen_t) host_size, NULL, 0,
					   NI_NUMERICHOST) == 0;
}
