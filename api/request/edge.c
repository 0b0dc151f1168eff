#include "api/request/edge.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/request/cors.h"
#include "common/buffer.h"

bool
mr_edge_make(MrEdge *edge, size_t gzip_from, const MrStrings *origins, const MrStrings *proxies,
			 char *error, size_t error_size)
{
	*edge = (MrEdge){.gzip_from = gzip_from, .origins = origins};
	for (int i = 0; i < origins->count; i++)
		if (!mr_cors_is_origin(origins->items[i]))
		{
			snprintf(error, error_size,
					 "--cors-origin is \"%.100s\", expected SCHEME://HOST[:PORT], such as "
					 "https://app.example, or *",
					 origins->items[i]);
			return false;
		}
	edge->proxies.items = mr_calloc((size_t) proxies->count + 1, sizeof(*edge->proxies.items));
	for (int i = 0; i < proxies->count; i++)
		if (!mr_network_read(&edge->proxies.items[edge->proxies.count++], proxies->items[i]))
		{
			snprintf(error, error_size,
					 "--trusted-proxy is \"%.100s\", expected an IP address or ADDRESS/BITS, such "
					 "as 10.0.0.0/8",
					 proxies->items[i]);
			mr_edge_free(edge);
			return false;
		}
	return true;
}

void
mr_edge_free(MrEdge *edge)
{
	free(edge->proxies.items);
	mr_limiter_free(edge->limiter);
	mr_wrong_keys_free(edge->wrong_keys);
	*edge = (MrEdge){0};
}
