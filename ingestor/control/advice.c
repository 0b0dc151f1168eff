/* Advice by SQLSTATE. All calls are of functions of schema millrace. */
#include "ingestor/control/advice.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void put_role(const char *role, char *out, size_t out_size);

void
mr_control_advice(const char *sqlstate, const char *role, const char *database, char *out,
				  size_t out_size)
{
	char name[160];

	put_role(role, name, sizeof(name));
	if (strcmp(sqlstate, "42501") == 0) /* insufficient_privilege */
		snprintf(out, out_size,
				 "as a superuser, in database \"%s\": SELECT millrace.grant_ingestor('%s');",
				 database, name);
	else if (strcmp(sqlstate, "3F000") == 0) /* invalid_schema_name */
		snprintf(
			out, out_size,
			"database \"%s\" has no extension millrace: name another one in --dsn, or, as a "
			"superuser there: CREATE EXTENSION millrace; SELECT millrace.grant_ingestor('%s');",
			database, name);
	else
		snprintf(out, out_size, "%s", "");
}

/* As an identifier inside a string literal. */
static void
put_role(const char *role, char *out, size_t out_size)
{
	bool plain = *role != '\0' && strspn(role, "abcdefghijklmnopqrstuvwxyz_") > 0 &&
				 strspn(role, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(role);
	size_t len = 0;

	if (!plain && len + 1 < out_size)
		out[len++] = '"';
	for (const char *c = role; *c != '\0' && len + 4 < out_size; c++)
	{
		if (*c == '"' || *c == '\'')
			out[len++] = *c;
		out[len++] = *c;
	}
	if (!plain && len + 1 < out_size)
		out[len++] = '"';
	out[len] = '\0';
}
