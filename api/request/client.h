/*
 * Which address a request comes from. Behind a proxy that is what the proxy says, in X-Forwarded-For; and it counts only
 * from a proxy of --trusted-proxy, since anybody can write the field. Pure.
 */
#ifndef MR_API_CLIENT_H
#define MR_API_CLIENT_H

#include <stdbool.h>

#define MR_CLIENT_SIZE 46 /* of an address as text, as INET6_ADDRSTRLEN */

typedef struct MrNetwork
{
	unsigned char bytes[16]; /* IPv4 as IPv6 has it (::ffff:0:0/96) */
	int bits;
} MrNetwork;

typedef struct MrNetworks
{
	MrNetwork *items;
	int count;
} MrNetworks;

/* ADDRESS or ADDRESS/BITS; false: it is neither. */
extern bool mr_network_read(MrNetwork *network, const char *text);
/* Is the text an address within one of them? */
extern bool mr_networks_have(const MrNetworks *networks, const char *address);
/*
 * peer: who the connection is from. forwarded: the X-Forwarded-For fields, joined by commas (NULL: none): each proxy has
 * added whom it got the request from, so the client is the last one that is no trusted proxy. What is no address ends
 * the search at the proxy that said so.
 */
extern void mr_client_address(char client[MR_CLIENT_SIZE], const char *peer, const char *forwarded,
							  const MrNetworks *proxies);

#endif
