#include "common/dsn.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const PQconninfoOption *find(const PQconninfoOption *options, const char *keyword);
static bool check_ports(const PQconninfoOption *options, char *error, size_t error_size);
static bool are_ports(const char *list);
static bool check_sslmode(const PQconninfoOption *options, char *error, size_t error_size);
static bool is_string(const char *dsn);
static int count_items(const char *list);

bool
mr_dsn_check(const char *dsn, char *error, size_t error_size)
{
	char *message = NULL;
	PQconninfoOption *options;
	bool ok;

	if (dsn == NULL || !is_string(dsn))
		return true;
	options = PQconninfoParse(dsn, &message);
	PQfreemem(message);
	if (options == NULL)
	{
		snprintf(error, error_size,
				 "the PostgreSQL connection string cannot be read: expected \"host=db1 dbname=app "
				 "user=ingestor\" or "
				 "\"postgresql://ingestor@db1/app\", with libpq's keywords, a value that contains "
				 "a space in single "
				 "quotes, and %%XX in a URI for a special character");
		return false;
	}
	ok = check_ports(options, error, error_size) && check_sslmode(options, error, error_size);
	PQconninfoFree(options);
	return ok;
}

/* As libpq distinguishes a string from the name of a database. */
static bool
is_string(const char *dsn)
{
	return strncmp(dsn, "postgresql://", 13) == 0 || strncmp(dsn, "postgres://", 11) == 0 ||
		   strchr(dsn, '=') != NULL;
}

/* NULL when it has no value. */
static const PQconninfoOption *
find(const PQconninfoOption *options, const char *keyword)
{
	for (; options->keyword != NULL; options++)
		if (strcmp(options->keyword, keyword) == 0)
			return options->val != NULL && *options->val != '\0' ? options : NULL;
	return NULL;
}

/* What libpq would find out only when it connects, again and again. */
static bool
check_ports(const PQconninfoOption *options, char *error, size_t error_size)
{
	const PQconninfoOption *ports = find(options, "port");
	const PQconninfoOption *hosts = find(options, "hostaddr");
	int hosts_given;

	if (hosts == NULL)
		hosts = find(options, "host");
	hosts_given = count_items(hosts ? hosts->val : "");
	if (ports == NULL)
		return true;
	if (!are_ports(ports->val))
		snprintf(error, error_size,
				 "the PostgreSQL connection string has a port that is not a number from 1 to "
				 "65535; in a URI a "
				 "\"/\", \"@\" or \":\" of the user or password is written as %%2F, %%40 or %%3A");
	else if (count_items(ports->val) > 1 && count_items(ports->val) != hosts_given)
		snprintf(error, error_size,
				 "the PostgreSQL connection string has %d ports for %d hosts: expected one for "
				 "all, or one for each",
				 count_items(ports->val), hosts_given);
	else
		return true;
	return false;
}

/* An empty item is the default port. */
static bool
are_ports(const char *list)
{
	for (;; list++)
	{
		char *end;
		long port = strtol(list, &end, 10);

		if ((*end != ',' && *end != '\0') || (end != list && (port < 1 || port > 65535)))
			return false;
		if (*end == '\0')
			return true;
		list = end;
	}
}

static bool
check_sslmode(const PQconninfoOption *options, char *error, size_t error_size)
{
	static const char *const modes[] = {"disable", "allow",     "prefer",
										"require", "verify-ca", "verify-full"};
	const PQconninfoOption *mode = find(options, "sslmode");

	if (mode == NULL)
		return true;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(mode->val, modes[i]) == 0)
			return true;
	snprintf(error, error_size,
			 "the PostgreSQL connection string has an unknown sslmode: expected disable, allow, "
			 "prefer, require, "
			 "verify-ca or verify-full");
	return false;
}

/* Of a list separated by commas. */
static int
count_items(const char *list)
{
	int count = 1;

	for (; *list != '\0'; list++)
		count += *list == ',';
	return count;
}
