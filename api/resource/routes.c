#include "api/resource/routes.h"

#include "api/resource/event.h"
#include "api/resource/event_list.h"
#include "api/resource/event_post.h"

const MrRoute mr_routes[] = {
	{MR_METHOD_GET, "/events", mr_event_list_get},
	{MR_METHOD_POST, "/events", mr_event_post},
	{MR_METHOD_GET, "/events/{id}", mr_event_get},
};

const int mr_route_count = sizeof(mr_routes) / sizeof(mr_routes[0]);
