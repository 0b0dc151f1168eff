/*
 * Listening sockets that the process was started with, as sd_listen_fds(3) has it: the environment variable LISTEN_PID is
 * its process id, and LISTEN_FDS how many there are, from descriptor 3 on. Whoever holds them, the service manager say, keeps
 * them open while one process takes the place of another: what has come meanwhile waits, and is answered by the next.
 */
#ifndef MR_API_INHERITED_H
#define MR_API_INHERITED_H

#include <stdbool.h>
#include <stddef.h>

#define MR_INHERITED_MAX 64

typedef struct MrInherited
{
	int count; /* 0: none, the process opens its own */
	int fds[MR_INHERITED_MAX];
} MrInherited;

/*
 * Finds them; what is started from here does not get them, nor do later calls find any. False, and a message, when one is no
 * listening TCP socket, or there are too many.
 */
extern bool mr_inherited_take(MrInherited *inherited, char *error, size_t error_size);
/*
 * *fd: a descriptor of its own for socket `number` of them, counted from 0 and on from the first again; -1 without any. False,
 * and errno: there is no descriptor left.
 */
extern bool mr_inherited_copy(const MrInherited *inherited, int number, int *fd);

#endif
