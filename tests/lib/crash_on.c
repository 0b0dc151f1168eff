/*
 * crash_on.c: a user's function that ends its process, each way there is, by what it is given; anything else
 * is returned. Built by lib/crash_on.py.
 */
#include "postgres.h"

#include <signal.h>
#include <unistd.h>

#include "fmgr.h"
#include "utils/builtins.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(crash_on);

static int
recurse(volatile char *above)
{
	volatile char here[1024];

	here[0] = above[0];
	return recurse(here) + here[0];
}

Datum
crash_on(PG_FUNCTION_ARGS)
{
	const char *how = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (strcmp(how, "segv") == 0)
		*(volatile int *) 0 = 0;
	else if (strcmp(how, "abort") == 0)
		abort();
	else if (strcmp(how, "kill") == 0)
		kill(getpid(), SIGKILL);
	else if (strcmp(how, "stack") == 0)
		(void) recurse("");
	else if (strcmp(how, "exit") == 0)
		exit(0);
	else if (strcmp(how, "fatal") == 0)
		ereport(FATAL, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("too much for me")));
	else if (strcmp(how, "panic") == 0)
		ereport(PANIC, (errcode(ERRCODE_DISK_FULL), errmsg("no space left")));
	PG_RETURN_TEXT_P(PG_GETARG_TEXT_PP(0));
}
