#include "api/control/route_stats.h"

#include <string.h>

void
mr_route_stats_init(MrRouteStats *stats)
{
	memset(stats, 0, sizeof(*stats));
	pthread_mutex_init(&stats->lock, NULL);
}

void
mr_route_stats_add(MrRouteStats *stats, int route, int status, double seconds)
{
	int class = status >= 100 && status < 600 ? status / 100 : 0;

	pthread_mutex_lock(&stats->lock);
	stats->routes[route].answers[class]++;
	mr_histogram_add(&stats->routes[route].duration, seconds);
	pthread_mutex_unlock(&stats->lock);
}

void
mr_route_stats_sum(MrRouteStats *stats, int route, MrRouteStat *sum)
{
	const MrRouteStat *stat = &stats->routes[route];

	pthread_mutex_lock(&stats->lock);
	for (int i = 0; i < 6; i++)
		sum->answers[i] += stat->answers[i];
	for (int i = 0; i < MR_HISTOGRAM_BUCKETS; i++)
		sum->duration.buckets[i] += stat->duration.buckets[i];
	sum->duration.count += stat->duration.count;
	sum->duration.sum += stat->duration.sum;
	pthread_mutex_unlock(&stats->lock);
}
