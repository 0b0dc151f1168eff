/* The thread that cancels queries, over a PQcancel() that is held up: what is asked meanwhile, and how all ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/database/canceller.h"
#include "common/log.h"

#define LOOK_US 1000
#define HANG    20000 /* looks: a test that takes so many fails */

struct pg_cancel
{
	int unused;
};

static MrCanceller *canceller;
static sem_t begun;
static sem_t may_end;
static atomic_int asked;
static atomic_int freed;

int
PQcancel(PGcancel *cancel, char *error, int size)
{
	(void) cancel, (void) error, (void) size;
	atomic_fetch_add(&asked, 1);
	sem_post(&begun);
	sem_wait(&may_end);
	return 1;
}

void
PQfreeCancel(PGcancel *cancel)
{
	free(cancel);
	atomic_fetch_add(&freed, 1);
}

static MrCancel *
ask(void)
{
	return mr_canceller_ask(canceller, calloc(1, sizeof(PGcancel)));
}

static void
wait_until_freed(int count)
{
	for (int i = 0; i < HANG && atomic_load(&freed) < count; i++)
		usleep(LOOK_US);
	assert_int_equal(freed, count);
}

static int
set_up(void **state)
{
	(void) state;
	mr_log_setup("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
	sem_init(&begun, 0, 0);
	sem_init(&may_end, 0, 0);
	atomic_store(&asked, 0);
	atomic_store(&freed, 0);
	canceller = mr_canceller_new();
	assert_non_null(canceller);
	return 0;
}

static int
tear_down(void **state)
{
	(void) state;
	sem_destroy(&begun);
	sem_destroy(&may_end);
	return 0;
}

/* One after the other; one that is forgotten before its turn is not asked for. */
static void
in_turn(void **state)
{
	MrCancel *first = ask();
	MrCancel *second = ask();
	MrCancel *third = ask();

	(void) state;
	sem_wait(&begun);
	assert_false(mr_cancel_is_over(first));
	mr_cancel_free(canceller, second);
	wait_until_freed(1);
	sem_post(&may_end);
	sem_wait(&begun);
	assert_true(mr_cancel_is_over(first));
	mr_cancel_free(canceller, first);
	mr_cancel_free(canceller, third); /* it is under way: the thread frees it */
	assert_int_equal(freed, 2);
	sem_post(&may_end);
	wait_until_freed(3);
	assert_int_equal(asked, 2);
	mr_canceller_free(canceller);
}

/* The server's host is gone: the end does not wait until TCP gives up. What is left goes when it does. */
static void
the_end_waits_for_no_host_that_is_gone(void **state)
{
	MrCancel *cancel = ask();

	(void) state;
	sem_wait(&begun);
	mr_cancel_free(canceller, cancel);
	mr_canceller_free(canceller); /* without the code it is here for ever */
	assert_int_equal(freed, 0);
	sem_post(&may_end);
	wait_until_freed(1);
}

/* A server that is there has been asked when all ends. */
static void
the_end_waits_for_one_that_answers(void **state)
{
	MrCancel *cancel = ask();

	(void) state;
	sem_wait(&begun);
	mr_cancel_free(canceller, cancel);
	sem_post(&may_end);
	mr_canceller_free(canceller);
	assert_int_equal(freed, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(in_turn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_end_waits_for_no_host_that_is_gone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_end_waits_for_one_that_answers, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("database/canceller", tests, NULL, NULL);
}
