#include "api/request/router.h"

#include <stdlib.h>

#include "api/request/params.h"

static bool fits(const char *template, const char *path, char **captures);

void
mr_route_find(MrRouteMatch *match, const MrRoute *routes, int count, MrMethod method,
			  const char *path)
{
	const char *template = NULL;

	*match = (MrRouteMatch){.route = -1};
	for (int i = 0; i < count; i++)
	{
		if (template == NULL && fits(routes[i].path, path, match->captures))
			template = routes[i].path;
		/* the path's first template is its only one, also when another method has a later one */
		if (template == NULL || strcmp(template, routes[i].path) != 0)
			continue;
		match->methods |= routes[i].method;
		if (routes[i].method == method)
			match->route = i;
	}
}

void
mr_route_match_free(MrRouteMatch *match)
{
	for (int i = 0; i < MR_CAPTURES_MAX; i++)
		free(match->captures[i]);
	*match = (MrRouteMatch){.route = -1};
}

void
mr_route_allow(MrBuffer *out, unsigned methods)
{
	mr_buffer_printf(out, "%s%s%s", methods & MR_METHOD_GET ? "GET, HEAD" : "",
					 methods & MR_METHOD_GET && methods & MR_METHOD_POST ? ", " : "",
					 methods & MR_METHOD_POST ? "POST" : "");
}

static bool
fits(const char *template, const char *path, char **captures)
{
	int n = 0;

	while (*template != '\0' && *path != '\0')
	{
		size_t len = strcspn(path, "/");

		if (*template == '{' && len > 0)
		{
			captures[n++] = mr_percent_decode(path, len, false);
			template += strcspn(template, "}") + 1;
			path += len;
		}
		else if (*template == *path)
		{
			template ++;
			path++;
		}
		else
			break;
	}
	if (*template == '\0' && *path == '\0')
		return true;
	while (n > 0)
	{
		free(captures[--n]);
		captures[n] = NULL;
	}
	return false;
}
