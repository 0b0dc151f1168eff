/* The pages of the tail on their way to a thread: in order, and to a bound. What a thread does on its loop this one does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/resource/tail_reader.h"
#include "common/buffer.h"

#define MANY (MR_TAIL_QUEUED_MAX + 5)

/* A thread, and what it was given. */
typedef struct Thread
{
	struct event_base *base;
	MrTailReader *reader;
	int count;
	uint64_t first;
	uint64_t last; /* number of a page; they are put in the order of these */
	int resets;
	bool is_in_order;
} Thread;

static void
on_page(void *owner, MrEventPage *page)
{
	Thread *thread = owner;
	uint64_t number = mr_event_page_joined(page);

	thread->count++;
	if (mr_event_page_kind(page) == MR_PAGE_RESET)
	{
		/* what is behind it is no continuation of what was before it */
		thread->resets++;
		thread->last = 0;
		return;
	}
	if (thread->first == 0)
		thread->first = number;
	thread->is_in_order = thread->is_in_order && (thread->last == 0 || number == thread->last + 1);
	thread->last = number;
}

static Thread
new_thread(void)
{
	return (Thread){.base = event_base_new(), .is_in_order = true};
}

static void
attach(Thread *thread)
{
	thread->reader = mr_tail_reader_new(thread->base, on_page, thread);
}

static void
end(Thread *thread)
{
	mr_tail_reader_free(thread->reader);
	event_base_free(thread->base);
}

static void
turn(Thread *thread)
{
	event_base_loop(thread->base, EVLOOP_NONBLOCK);
}

/* As the tail does it: the threads hold the page, and it gives its own reference back. */
static void
put(Thread *const *threads, int count, uint64_t number)
{
	MrEventPosition none = {0};
	MrEventPage *page = mr_event_page_new(MR_PAGE_EVENTS, &none, number);

	for (int i = 0; i < count; i++)
		mr_tail_reader_put(threads[i]->reader, page);
	mr_event_page_release(page);
}

static void
pages_come_in_order(void **state)
{
	Thread thread = new_thread();
	Thread *const threads[] = {&thread};

	(void) state;
	attach(&thread);
	turn(&thread);
	assert_int_equal(thread.count, 0);
	for (uint64_t i = 1; i <= MR_TAIL_QUEUED_MAX; i++)
		put(threads, 1, i);
	turn(&thread);
	assert_int_equal(thread.count, MR_TAIL_QUEUED_MAX);
	put(threads, 1, MR_TAIL_QUEUED_MAX + 1);
	turn(&thread);
	assert_int_equal(thread.count, MR_TAIL_QUEUED_MAX + 1);
	assert_int_equal(thread.resets, 0);
	assert_true(thread.is_in_order);
	end(&thread);
}

/* It holds no more than the bound, is reset once, and gets what comes after that; the other thread gets all. */
static void
a_thread_that_hangs_is_reset(void **state)
{
	Thread slow = new_thread();
	Thread good = new_thread();
	Thread *const threads[] = {&slow, &good};

	(void) state;
	attach(&slow);
	attach(&good);
	for (uint64_t i = 1; i <= MANY; i++)
	{
		put(threads, 2, i);
		turn(&good);
	}
	assert_int_equal(good.count, MANY);
	assert_int_equal(good.resets, 0);
	assert_true(good.is_in_order);
	turn(&slow);
	assert_int_equal(slow.resets, 1);
	assert_int_equal(slow.count, MANY - MR_TAIL_QUEUED_MAX);
	assert_int_equal(slow.first, MR_TAIL_QUEUED_MAX + 2);
	assert_int_equal(slow.last, MANY);
	assert_true(slow.is_in_order);
	end(&slow);
	end(&good);
}

/* Pages that a thread has not taken are freed with its queue. */
static void
a_thread_ends_with_pages(void **state)
{
	Thread thread = new_thread();
	Thread *const threads[] = {&thread};

	(void) state;
	attach(&thread);
	for (uint64_t i = 1; i <= 3; i++)
		put(threads, 1, i);
	end(&thread);
	assert_int_equal(thread.count, 0);
	mr_tail_reader_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_come_in_order),
		cmocka_unit_test(a_thread_that_hangs_is_reset),
		cmocka_unit_test(a_thread_ends_with_pages),
	};

	return cmocka_run_group_tests_name("resource/tail_reader", tests, NULL, NULL);
}
