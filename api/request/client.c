#include "api/request/client.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_address(unsigned char bytes[16], const char *text);
static const char *last_element(const char *list, size_t *len, char element[64]);

bool
mr_network_read(MrNetwork *network, const char *text)
{
	const char *slash = strchr(text, '/');
	size_t len = slash != NULL ? (size_t) (slash - text) : strlen(text);
	char address[MR_CLIENT_SIZE];
	bool is_v4;
	char *end;

	if (len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	is_v4 = strchr(address, ':') == NULL;
	network->bits = 128;
	if (slash != NULL)
	{
		long bits = strtol(slash + 1, &end, 10);

		if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || bits > (is_v4 ? 32 : 128))
			return false;
		network->bits = (int) bits + (is_v4 ? 96 : 0);
	}
	return read_address(network->bytes, address);
}

bool
mr_networks_have(const MrNetworks *networks, const char *address)
{
	unsigned char bytes[16];

	if (networks->count == 0 || !read_address(bytes, address))
		return false;
	for (int i = 0; i < networks->count; i++)
	{
		const MrNetwork *network = &networks->items[i];
		size_t whole = (size_t) network->bits / 8;
		unsigned char mask = (unsigned char) (0xff00 >> network->bits % 8);

		if (memcmp(bytes, network->bytes, whole) == 0 &&
			(whole == 16 || ((bytes[whole] ^ network->bytes[whole]) & mask) == 0))
			return true;
	}
	return false;
}

void
mr_client_address(char client[MR_CLIENT_SIZE], const char *peer, const char *forwarded,
				  const MrNetworks *proxies)
{
	size_t len = forwarded != NULL ? strlen(forwarded) : 0;
	unsigned char bytes[16];
	char element[64];

	snprintf(client, MR_CLIENT_SIZE, "%s", peer);
	while (len > 0 && mr_networks_have(proxies, client))
	{
		if (last_element(forwarded, &len, element) == NULL || !read_address(bytes, element))
			return;
		snprintf(client, MR_CLIENT_SIZE, "%.45s", element);
	}
}

static bool
read_address(unsigned char bytes[16], const char *text)
{
	static const unsigned char v4[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	memcpy(bytes, v4, sizeof(v4));
	return inet_pton(AF_INET, text, bytes + 12) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* Takes it off the list, whose length is *len; without white space. NULL: it is longer than an address. */
static const char *
last_element(const char *list, size_t *len, char element[64])
{
	const char *comma = memrchr(list, ',', *len);
	const char *at = comma != NULL ? comma + 1 : list;
	const char *end = list + *len;

	*len = comma != NULL ? (size_t) (comma - list) : 0;
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if (end - at >= 64)
		return NULL;
	memcpy(element, at, (size_t) (end - at));
	element[end - at] = '\0';
	return element;
}
