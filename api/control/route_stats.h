/* Rate, errors and duration by route, of one thread; the main thread reads them for /metrics under the lock. */
#ifndef MR_API_ROUTE_STATS_H
#define MR_API_ROUTE_STATS_H

#include <pthread.h>
#include <stdint.h>

#include "common/metrics.h"

#define MR_ROUTES_MAX 64

typedef struct MrRouteStat
{
	uint64_t answers[6]; /* by class of status, 1xx to 5xx; [0]: the client left before */
	MrHistogram duration;
} MrRouteStat;

typedef struct MrRouteStats
{
	pthread_mutex_t lock;
	MrRouteStat routes[MR_ROUTES_MAX]; /* by number of the route; the last: none */
} MrRouteStats;

extern void mr_route_stats_init(MrRouteStats *stats);
extern void mr_route_stats_add(MrRouteStats *stats, int route, int status, double seconds);
/* Adds what `stats` has of a route to `sum`. */
extern void mr_route_stats_sum(MrRouteStats *stats, int route, MrRouteStat *sum);

#endif
