/* A PostgreSQL connection string, looked at before anything connects with it. */
#ifndef MR_COMMON_DSN_H
#define MR_COMMON_DSN_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether libpq can make sense of a connection string: "key=value ...", a URI, or the name of a database; NULL and ""
 * leave everything to the environment. False: `error` says what is wrong. It never quotes the string, which may hold
 * a password (libpq's own messages do quote it).
 */
extern bool mr_dsn_check(const char *dsn, char *error, size_t error_size)
	__attribute__((warn_unused_result));

#endif
