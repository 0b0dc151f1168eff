/* Paths to routes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/request/router.h"

static const MrRoute routes[] = {
	{MR_METHOD_GET, "/events", NULL},
	{MR_METHOD_POST, "/events", NULL},
	{MR_METHOD_GET, "/events/all", NULL},
	{MR_METHOD_GET, "/events/{id}", NULL},
	{MR_METHOD_GET, "/events/{id}/status", NULL},
	{MR_METHOD_POST, "/{a}/{b}/do", NULL},
};

static void
expect(MrMethod method, const char *path, int route, unsigned methods, const char *capture)
{
	MrRouteMatch match;

	mr_route_find(&match, routes, 6, method, path);
	assert_int_equal(match.route, route);
	assert_int_equal(match.methods, methods);
	if (capture != NULL)
		assert_string_equal(match.captures[0], capture);
	else
		assert_null(match.captures[0]);
	mr_route_match_free(&match);
}

static void
paths(void **state)
{
	(void) state;
	expect(MR_METHOD_GET, "/events", 0, MR_METHOD_GET | MR_METHOD_POST, NULL);
	expect(MR_METHOD_POST, "/events", 1, MR_METHOD_GET | MR_METHOD_POST, NULL);
	expect(MR_METHOD_GET, "/events/all", 2, MR_METHOD_GET, NULL);
	expect(MR_METHOD_POST, "/events/all", -1, MR_METHOD_GET, NULL);
	expect(MR_METHOD_GET, "/events/a%2Fb", 3, MR_METHOD_GET, "a/b");
	expect(MR_METHOD_GET, "/events/a:1:2/status", 4, MR_METHOD_GET, "a:1:2");
	expect(MR_METHOD_POST, "/x/y/do", 5, MR_METHOD_POST, "x");
	expect(MR_METHOD_OTHER, "/events/1", -1, MR_METHOD_GET, "1");
	expect(MR_METHOD_GET, "/events/", -1, 0, NULL);
	expect(MR_METHOD_GET, "/events/1/", -1, 0, NULL);
	expect(MR_METHOD_GET, "/event", -1, 0, NULL);
	expect(MR_METHOD_GET, "/eventsx", -1, 0, NULL);
	expect(MR_METHOD_GET, "/events//status", -1, 0, NULL);
	expect(MR_METHOD_GET, "/", -1, 0, NULL);
	expect(MR_METHOD_GET, "", -1, 0, NULL);
}

static void
allowed_methods(void **state)
{
	MrBuffer out = {0};

	(void) state;
	mr_route_allow(&out, MR_METHOD_GET | MR_METHOD_POST);
	assert_string_equal(mr_buffer_string(&out), "GET, HEAD, POST");
	out.len = 0;
	mr_route_allow(&out, MR_METHOD_POST);
	assert_string_equal(mr_buffer_string(&out), "POST");
	mr_buffer_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(allowed_methods),
	};

	return cmocka_run_group_tests_name("request/router", tests, NULL, NULL);
}
