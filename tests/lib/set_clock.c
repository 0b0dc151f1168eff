/*
 * Preloaded into a server under test: its wall clock is off by the seconds that the file CLOCK_FILE holds (8 bytes, as an
 * integer of the machine). The clock that nobody can set goes on.
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
off_by(void)
{
	static const volatile int64_t *seconds = NULL;

	if (seconds == NULL)
	{
		const char *path = getenv("CLOCK_FILE");
		int fd = path != NULL ? open(path, O_RDONLY) : -1;
		void *address =
			fd >= 0 ? mmap(NULL, sizeof(*seconds), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

		if (fd >= 0)
			(void) close(fd);
		if (address == MAP_FAILED)
			abort();
		seconds = address;
	}
	return *seconds;
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	int (*next)(clockid_t, struct timespec *) =
		(int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
	int result = next(clock, now);

	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
		now->tv_sec += off_by();
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
