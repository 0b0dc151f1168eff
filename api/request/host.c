#include "api/request/host.h"

#include <string.h>
#include <strings.h>

static bool is_name(const char *host, const char *name);

bool
mr_host_is_allowed(const char *host, const MrStrings *allowed)
{
	static const char *const own[] = {"localhost", "127.0.0.1", "[::1]"};

	if (host == NULL)
		return false;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (is_name(host, own[i]))
			return true;
	for (int i = 0; i < allowed->count; i++)
		if (is_name(host, allowed->items[i]))
			return true;
	return false;
}

bool
mr_is_same_site(const char *origin, const char *site, const MrStrings *allowed)
{
	const char *host = origin != NULL ? strstr(origin, "://") : NULL;

	if (site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
		return false;
	return origin == NULL || (host != NULL && mr_host_is_allowed(host + 3, allowed));
}

bool
mr_address_is_loopback(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static bool
is_name(const char *host, const char *name)
{
	size_t len = strlen(name);

	return strncasecmp(host, name, len) == 0 && (host[len] == '\0' || host[len] == ':');
}
