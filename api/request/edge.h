/* What lies between the API and its clients, the same for all threads: proxies, pages of other origins, compression. */
#ifndef MR_API_EDGE_H
#define MR_API_EDGE_H

#include <stdbool.h>
#include <stddef.h>

#include "api/request/client.h"
#include "api/request/limiter.h"
#include "api/request/wrong_keys.h"
#include "common/options.h"

typedef struct MrEdge
{
	size_t gzip_from;         /* bytes of an answer that is compressed; 0: none is */
	const MrStrings *origins; /* of pages that may use the API; "*": any */
	MrNetworks proxies;       /* that say whom a request comes from */
	MrLimiter *limiter;       /* of each client's requests; NULL: none */
	MrWrongKeys *wrong_keys;  /* of each address; NULL: any */
} MrEdge;

/* The lists must outlive it. False, and a message that names the option, when one of them is wrong. */
extern bool mr_edge_make(MrEdge *edge, size_t gzip_from, const MrStrings *origins,
						 const MrStrings *proxies, char *error, size_t error_size)
	__attribute__((warn_unused_result));
extern void mr_edge_free(MrEdge *edge);

#endif
