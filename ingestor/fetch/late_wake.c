/*
 * cnd_timedwait() of this program comes before that of the C library for librdkafka, too; for threads that did not ask for it, it
 * is the C library's. A librdkafka that was built to wait in another way is not affected.
 */
#include "ingestor/fetch/late_wake.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <threads.h>
#include <time.h>

#define LATE_NS 1000000

typedef int (*TimedWait)(cnd_t *, mtx_t *, const struct timespec *);

static _Thread_local bool late;

void
mr_late_wake_begin(void)
{
	late = true;
}

/* As the C standard has it. */
__attribute__((visibility("default"))) int
cnd_timedwait(cnd_t *cond, mtx_t *mutex, const struct timespec *until)
{
	static _Atomic(TimedWait) next;
	TimedWait wait = next;
	struct timespec at = *until;

	if (wait == NULL)
		next = wait = (TimedWait) dlsym(RTLD_NEXT, "cnd_timedwait");
	at.tv_nsec += late ? LATE_NS : 0;
	if (at.tv_nsec >= 1000000000)
	{
		at.tv_nsec -= 1000000000;
		at.tv_sec++;
	}
	return wait(cond, mutex, &at);
}
