#include "point_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"

#define TURNS_MAX 20000

PointWorld point_world;

int64_t __real_mr_now_ms(void);
int64_t __wrap_mr_now_ms(void);

int64_t
__wrap_mr_now_ms(void)
{
	return __real_mr_now_ms() + point_world.ahead_ms;
}

static void
on_ended(void *owner, MrQuery *query, MrQueryFailure failure, const PGresult *result,
		 const MrPgError *error)
{
	PointSeen *seen = (PointSeen *) query;

	(void) owner;
	assert_null(query->point);
	seen->ended++;
	seen->nth = ++point_world.ended;
	seen->failure = failure;
	if (result != NULL)
		snprintf(seen->value, sizeof(seen->value), "%s", PQgetvalue(result, 0, 0));
	if (error != NULL)
		snprintf(seen->sqlstate, sizeof(seen->sqlstate), "%s", error->sqlstate);
	if (seen->next != NULL && mr_point_room(point_world.point) > 0)
		point_run(seen->next, query->name);
}

static void
on_ready(void *owner)
{
	(void) owner;
	point_world.ready++;
}

static void
on_lost(void *owner, const MrPgError *error, bool silent)
{
	(void) owner, (void) error;
	point_world.lost++;
	point_world.was_silent = silent;
}

int
point_setup(void **state)
{
	(void) state;
	mr_log_setup("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
	point_world = (PointWorld){.base = event_base_new()};
	return 0;
}

int
point_teardown(void **state)
{
	(void) state;
	assert_int_equal(fake_pq.at, fake_pq.count);
	assert_int_equal(fake_pq.cancels, 0);
	mr_point_free(point_world.point);
	event_base_free(point_world.base);
	return 0;
}

void
point_begin(const FakeStep *steps, int count)
{
	static const MrPointEvents events = {on_ended, on_ready, on_lost};
	const MrPoolSetup setup = {.base = point_world.base, .dsn = "", .query_ms = QUERY_MS};

	fake_pq_script(steps, count);
	point_world.point = mr_point_new(&setup, &events, NULL);
	assert_int_equal(mr_point_room(point_world.point), 0);
	point_turn_until(&point_world.ready, 1);
	assert_int_equal(mr_point_room(point_world.point), MR_POINT_MAX);
}

void
point_run(PointSeen *seen, const char *name)
{
	seen->query.name = (char *) name;
	seen->query.sql = (char *) "SELECT $1";
	seen->query.began_ms = __wrap_mr_now_ms();
	mr_point_run(point_world.point, &seen->query);
}

void
point_run_all(PointSeen *seen, int count)
{
	for (int i = 0; i < count; i++)
		point_run(&seen[i], "s");
	assert_int_equal(mr_point_count(point_world.point), count);
}

void
point_turn(int ms)
{
	for (int i = 0; i < ms; i++)
	{
		mr_point_tick(point_world.point, __wrap_mr_now_ms());
		event_base_loop(point_world.base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
}

void
point_turn_until(const int *number, int is)
{
	for (int i = 0; i < TURNS_MAX && *number < is; i++)
		point_turn(1);
	assert_int_equal(*number, is);
}

void
point_come_back(void)
{
	point_world.ahead_ms += MR_SESSION_RETRY_MAX_MS + 1;
	point_turn_until(&point_world.ready, 2);
	assert_int_equal(fake_pq.connections, 2);
	assert_int_equal(mr_point_room(point_world.point), MR_POINT_MAX);
}
