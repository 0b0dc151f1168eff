/* A thread for each handle that ends. `lock` guards the count. */
#include "ingestor/fetch/handle_end.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "common/log.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t one_ended = PTHREAD_COND_INITIALIZER;
static int ending;

static void *destroy(void *arg);
static void count(int by);

void
mr_handle_end(rd_kafka_t *rk)
{
	pthread_t thread;
	sigset_t all;
	sigset_t before;
	int err;

	count(1);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, NULL, destroy, rk);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err == 0)
	{
		pthread_detach(thread);
		return;
	}
	/* Left behind: to block the main thread would be worse. It counts on, so that the process ends by _exit. */
	mr_log(MR_LOG_WARN, "could not start a thread to end a Kafka client",
		   MR_STR("error", strerror(err)));
}

bool
mr_handles_have_ended(int wait_ms)
{
	struct timespec end;
	bool ended;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += wait_ms / 1000;
	end.tv_nsec += (long) (wait_ms % 1000) * 1000000;
	if (end.tv_nsec >= 1000000000)
	{
		end.tv_sec++;
		end.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&lock);
	while (ending > 0 &&
		   pthread_cond_clockwait(&one_ended, &lock, CLOCK_MONOTONIC, &end) != ETIMEDOUT)
		;
	ended = ending == 0;
	pthread_mutex_unlock(&lock);
	return ended;
}

static void *
destroy(void *arg)
{
	rd_kafka_destroy_flags(arg, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	count(-1);
	return NULL;
}

static void
count(int by)
{
	pthread_mutex_lock(&lock);
	ending += by;
	pthread_cond_signal(&one_ended);
	pthread_mutex_unlock(&lock);
}
