#include "common/wakeup.h"

#include <stdint.h>
#include <unistd.h>

void
mr_wake(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		one = 0; /* the counter is full: the loop will be woken anyway */
}

void
mr_woken(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		count = 0; /* it has been read already */
}
