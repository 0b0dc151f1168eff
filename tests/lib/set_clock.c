/*
 * Preloaded into a server under test. The file CLOCK_FILE has two integers of 8 bytes, as the machine has them: the seconds by
 * which its wall clock is off, and those by which the clock that nobody can set is later than it is.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t
off_by(int which)
{
	static const volatile int64_t *seconds = NULL;

	if (seconds == NULL)
	{
		const char *path = getenv("CLOCK_FILE");
		int fd = path != NULL ? open(path, O_RDONLY) : -1;
		void *address =
			fd >= 0 ? mmap(NULL, 2 * sizeof(*seconds), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

		if (fd >= 0)
			(void) close(fd);
		if (address == MAP_FAILED)
			abort();
		seconds = address;
	}
	return seconds[which];
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	int (*next)(clockid_t, struct timespec *) =
		(int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
	int result = next(clock, now);

	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
		now->tv_sec += off_by(0);
	if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE)
		now->tv_sec += off_by(1);
	return result;
}

int
gettimeofday(struct timeval *now, void *zone)
{
	struct timespec exact;
	int result = clock_gettime(CLOCK_REALTIME, &exact);

	(void) zone;
	now->tv_sec = exact.tv_sec;
	now->tv_usec = exact.tv_nsec / 1000;
	return result;
}
