/* Connection strings: what is wrong is said, and what may be a password is never quoted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/dsn.h"

static char error[512];

static bool
check(const char *dsn)
{
	error[0] = '\0';
	return mr_dsn_check(dsn, error, sizeof(error));
}

static void
good_ones(void **state)
{
	static const char *const good[] = {
		"",
		"app",
		"dbname=app",
		"host=a,b port=5432,5433",
		"host=a,b port=5432",
		"host=a,b port=,5433",
		"host=a sslmode=verify-full password='two words'",
		"postgresql://u:p%40ss@h1:1,h2:65535/app?target_session_attrs=read-write",
		"postgres:///app",
		"service=mine",
	};

	(void) state;
	assert_true(check(NULL));
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(check(good[i]));
}

static void
bad_ones(void **state)
{
	static const struct
	{
		const char *dsn;
		const char *says;
	} bad[] = {
		{"host=x password=my sesame", "single quotes"},
		{"password='sesame", "single quotes"},
		{"sesame=1", "libpq's keywords"},
		{"postgresql://u:sesame%zz@h/db", "%XX"},
		{"postgresql://u:sesame/x@h/db", "%2F"},
		{"host=h port=sesame", "1 to 65535"},
		{"host=h port=65536", "1 to 65535"},
		{"host=h port=0", "1 to 65535"},
		{"host=a,b port=1,2,3", "3 ports for 2 hosts"},
		{"port=1,2", "2 ports for 1 hosts"},
		{"host=h sslmode=sesame", "verify-full"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		if (check(bad[i].dsn))
			fail_msg("taken: %s", bad[i].dsn);
		if (strstr(error, bad[i].says) == NULL || strstr(error, "sesame") != NULL)
			fail_msg("%s: %s", bad[i].dsn, error);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones),
		cmocka_unit_test(bad_ones),
	};

	return cmocka_run_group_tests_name("common/dsn", tests, NULL, NULL);
}
