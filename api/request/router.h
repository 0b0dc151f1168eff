/* Which handler a path and a method lead to: one static table, looked through in its order. Pure. */
#ifndef MR_API_ROUTER_H
#define MR_API_ROUTER_H

#include <stdbool.h>

#include "common/buffer.h"

#define MR_CAPTURES_MAX 2

struct MrExchange;

typedef enum MrMethod
{
	MR_METHOD_GET = 1, /* and HEAD */
	MR_METHOD_POST = 2,
	MR_METHOD_OTHER = 4 /* none of a route */
} MrMethod;

typedef struct MrRoute
{
	MrMethod method;
	const char *
		path; /* "/events/{id}": a part in braces takes any text without "/"; literal ones stand before it */
	void (*handle)(struct MrExchange *exchange);
	unsigned scope; /* that it needs, of control/keys.h; 0: none */
} MrRoute;

typedef struct MrRouteMatch
{
	int route;                       /* -1: no route has this path and method */
	unsigned methods;                /* bits of MrMethod that the path has; 0: no such path */
	char *captures[MR_CAPTURES_MAX]; /* decoded; the caller frees them */
} MrRouteMatch;

/* path: as it was sent, without the query. */
extern void mr_route_find(MrRouteMatch *match, const MrRoute *routes, int count, MrMethod method,
						  const char *path);
extern void mr_route_match_free(MrRouteMatch *match);
/* The value of an Allow header field: "GET, HEAD, POST". */
extern void mr_route_allow(MrBuffer *out, unsigned methods);

#endif
