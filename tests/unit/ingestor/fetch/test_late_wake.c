/* Timed waits of a thread that asked for it end late; they end early when something comes, as before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <threads.h>
#include <time.h>

#include "ingestor/fetch/late_wake.h"

static cnd_t cond;
static mtx_t mutex;
static int sent;

static int64_t
ns(const struct timespec *t)
{
	return (int64_t) t->tv_sec * 1000000000 + t->tv_nsec;
}

/* Waits until the moment given, in a thread that is late; how much later it was. */
static int
wait_late(void *arg)
{
	const struct timespec *until = arg;
	struct timespec now;

	mr_late_wake_begin();
	mtx_lock(&mutex);
	while (cnd_timedwait(&cond, &mutex, until) != thrd_timedout)
		;
	mtx_unlock(&mutex);
	timespec_get(&now, TIME_UTC);
	return ns(&now) - ns(until) >= 1000000;
}

static int
send(void *arg)
{
	(void) arg;
	mtx_lock(&mutex);
	sent = 1;
	cnd_signal(&cond);
	mtx_unlock(&mutex);
	return 0;
}

static void
a_timeout_is_late_by_a_millisecond(void **state)
{
	(void) state;
	for (int i = 0; i < 8; i++)
	{
		struct timespec until;
		thrd_t thread;
		int late;

		timespec_get(&until, TIME_UTC);
		/* so that the sum of nanoseconds has a carry, too */
		until.tv_nsec = i == 0 ? 999999999 : until.tv_nsec;
		assert_int_equal(thrd_create(&thread, wait_late, &until), thrd_success);
		thrd_join(thread, &late);
		assert_true(late);
	}
}

static void
what_comes_wakes_at_once(void **state)
{
	struct timespec until = {.tv_sec = INT32_MAX};
	thrd_t thread;

	(void) state;
	mr_late_wake_begin();
	mtx_lock(&mutex);
	assert_int_equal(thrd_create(&thread, send, NULL), thrd_success);
	while (!sent)
		assert_int_equal(cnd_timedwait(&cond, &mutex, &until), thrd_success);
	mtx_unlock(&mutex);
	thrd_join(thread, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_timeout_is_late_by_a_millisecond),
									   cmocka_unit_test(what_comes_wakes_at_once)};

	cnd_init(&cond);
	mtx_init(&mutex, mtx_plain);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
