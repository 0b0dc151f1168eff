#include "api/wire/inherited.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST 3 /* SD_LISTEN_FDS_START */

static long number_of(const char *name);
static bool is_listening(int fd);

bool
mr_inherited_take(MrInherited *inherited, char *error, size_t error_size)
{
	long pid = number_of("LISTEN_PID");
	long count = number_of("LISTEN_FDS");

	*inherited = (MrInherited){0};
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (pid != (long) getpid() || count <= 0)
		return true; /* they are for another process */
	if (count > MR_INHERITED_MAX)
	{
		snprintf(error, error_size, "LISTEN_FDS is %ld, expected %d at most", count,
				 MR_INHERITED_MAX);
		return false;
	}
	for (int fd = FIRST; fd < FIRST + count; fd++)
	{
		if (!is_listening(fd))
		{
			snprintf(error, error_size,
					 "descriptor %d, one of %ld that LISTEN_FDS names, is no listening TCP socket",
					 fd, count);
			return false;
		}
		(void) fcntl(fd, F_SETFD, FD_CLOEXEC);
		inherited->fds[inherited->count++] = fd;
	}
	return true;
}

bool
mr_inherited_copy(const MrInherited *inherited, int number, int *fd)
{
	*fd = -1;
	if (inherited->count == 0)
		return true;
	*fd = fcntl(inherited->fds[number % inherited->count], F_DUPFD_CLOEXEC, 0);
	return *fd >= 0;
}

/* 0 when there is none, or it is no number. */
static long
number_of(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long number;

	if (text == NULL || *text == '\0')
		return 0;
	number = strtol(text, &end, 10);
	return *end == '\0' ? number : 0;
}

static bool
is_listening(int fd)
{
	int listens = 0;
	int domain = 0;
	int type = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens != 0 &&
		   getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
		   getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
		   (domain == AF_INET || domain == AF_INET6);
}
