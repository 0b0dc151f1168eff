#include "api/database/canceller.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "common/buffer.h"
#include "common/log.h"

#define END_MS 1000 /* how long the end waits for the cancel under way */

struct MrCancel
{
	PGcancel *handle;
	atomic_bool over;
	bool forgotten; /* under the lock: the thread frees it */
	bool taken;     /* under the lock: the thread is at it */
	MrCancel *next;
};

struct MrCanceller
{
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t asked;
	MrCancel *first; /* waiting */
	MrCancel **last;
	bool stops;
	bool ended;            /* the thread has */
	pthread_cond_t ending; /* of the thread */
	bool is_left;          /* nobody waits for it any more: it frees what there is */
};

static void *run(void *arg);
static void cancel_one(MrCanceller *canceller, MrCancel *cancel);
static void wait_for_end(MrCanceller *canceller);
static void free_canceller(MrCanceller *canceller);
static MrCancel *take(MrCanceller *canceller);
static void unlink_waiting(MrCanceller *canceller, MrCancel *cancel);
static void destroy(MrCancel *cancel);

MrCanceller *
mr_canceller_new(void)
{
	MrCanceller *canceller = mr_calloc(1, sizeof(*canceller));
	pthread_condattr_t monotonic;

	pthread_mutex_init(&canceller->lock, NULL);
	pthread_cond_init(&canceller->asked, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&canceller->ending, &monotonic);
	pthread_condattr_destroy(&monotonic);
	canceller->last = &canceller->first;
	if (pthread_create(&canceller->thread, NULL, run, canceller) == 0)
		return canceller;
	free_canceller(canceller);
	return NULL;
}

MrCancel *
mr_canceller_ask(MrCanceller *canceller, PGcancel *handle)
{
	MrCancel *cancel = mr_calloc(1, sizeof(*cancel));

	cancel->handle = handle;
	pthread_mutex_lock(&canceller->lock);
	*canceller->last = cancel;
	canceller->last = &cancel->next;
	pthread_cond_signal(&canceller->asked);
	pthread_mutex_unlock(&canceller->lock);
	return cancel;
}

bool
mr_cancel_is_over(const MrCancel *cancel)
{
	return atomic_load(&cancel->over);
}

void
mr_cancel_free(MrCanceller *canceller, MrCancel *cancel)
{
	bool ours;

	if (cancel == NULL)
		return;
	pthread_mutex_lock(&canceller->lock);
	ours = !cancel->taken || atomic_load(&cancel->over);
	cancel->forgotten = true;
	if (!cancel->taken)
		unlink_waiting(canceller, cancel);
	pthread_mutex_unlock(&canceller->lock);
	if (ours)
		destroy(cancel);
}

void
mr_canceller_free(MrCanceller *canceller)
{
	pthread_t thread;
	bool ended;

	if (canceller == NULL)
		return;
	thread = canceller->thread;
	pthread_mutex_lock(&canceller->lock);
	canceller->stops = true;
	pthread_cond_signal(&canceller->asked);
	wait_for_end(canceller);
	ended = canceller->ended;
	canceller->is_left = !ended;
	pthread_mutex_unlock(&canceller->lock);
	if (!ended)
	{
		pthread_detach(thread); /* it has the rest */
		return;
	}
	pthread_join(thread, NULL);
	free_canceller(canceller);
}

static void *
run(void *arg)
{
	MrCanceller *canceller = arg;
	MrCancel *cancel;
	bool is_left;

	while ((cancel = take(canceller)) != NULL)
		cancel_one(canceller, cancel);
	pthread_mutex_lock(&canceller->lock);
	canceller->ended = true;
	is_left = canceller->is_left;
	pthread_cond_signal(&canceller->ending);
	pthread_mutex_unlock(&canceller->lock);
	if (is_left)
		free_canceller(canceller);
	return NULL;
}

static void
cancel_one(MrCanceller *canceller, MrCancel *cancel)
{
	char error[256];
	bool forgotten;

	if (cancel->handle != NULL && !PQcancel(cancel->handle, error, sizeof(error)))
		mr_log(MR_LOG_DEBUG, "could not cancel a query", MR_STR("error", error));
	pthread_mutex_lock(&canceller->lock);
	forgotten = cancel->forgotten;
	atomic_store(&cancel->over, true);
	pthread_mutex_unlock(&canceller->lock);
	if (forgotten)
		destroy(cancel);
}

/* Under the lock. A host that is gone answers nothing, and PQcancel() waits for it as long as TCP does: minutes. */
static void
wait_for_end(MrCanceller *canceller)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += END_MS / 1000;
	while (!canceller->ended &&
		   pthread_cond_timedwait(&canceller->ending, &canceller->lock, &until) == 0)
		;
}

static void
free_canceller(MrCanceller *canceller)
{
	pthread_cond_destroy(&canceller->asked);
	pthread_cond_destroy(&canceller->ending);
	pthread_mutex_destroy(&canceller->lock);
	free(canceller);
}

/* Waits for the next one; NULL: the end. */
static MrCancel *
take(MrCanceller *canceller)
{
	MrCancel *cancel;

	pthread_mutex_lock(&canceller->lock);
	while (canceller->first == NULL && !canceller->stops)
		pthread_cond_wait(&canceller->asked, &canceller->lock);
	cancel = canceller->stops ? NULL : canceller->first;
	if (cancel != NULL)
	{
		unlink_waiting(canceller, cancel);
		cancel->taken = true;
	}
	pthread_mutex_unlock(&canceller->lock);
	return cancel;
}

static void
unlink_waiting(MrCanceller *canceller, MrCancel *cancel)
{
	for (MrCancel **link = &canceller->first; *link != NULL; link = &(*link)->next)
	{
		if (*link != cancel)
			continue;
		*link = cancel->next;
		if (canceller->last == &cancel->next)
			canceller->last = link;
		return;
	}
}

static void
destroy(MrCancel *cancel)
{
	PQfreeCancel(cancel->handle);
	free(cancel);
}
