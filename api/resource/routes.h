/* The table of routes; literal paths stand before those with a part in braces. */
#ifndef MR_API_ROUTES_H
#define MR_API_ROUTES_H

#include "api/request/router.h"

extern const MrRoute mr_routes[];
extern const int mr_route_count;

#endif
