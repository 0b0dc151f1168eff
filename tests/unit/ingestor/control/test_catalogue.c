/* Calls as SQL and text parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ingestor/control/catalogue.h"

static char got[512];

void
mr_control_call(MrControl *control, const char *sql, int count, const char *const *values,
				MrControlAnswer answer, void *owner, uint64_t tag)
{
	size_t len = (size_t) snprintf(got, sizeof(got), "%s", sql);

	(void) control;
	assert_null(answer);
	assert_ptr_equal(owner, got);
	assert_int_equal(tag, 7);
	for (int i = 0; i < count; i++)
		len += (size_t) snprintf(got + len, sizeof(got) - len, "|%s", values[i]);
}

static void
arguments_are_in_the_order_of_the_functions(void **state)
{
	const MrReply reply = {NULL, got, 7};
	const int64_t numbers[] = {0, INT64_MAX};
	const int64_t unknown[] = {-1, 5};

	(void) state;
	mr_catalogue_pipelines(NULL, reply);
	assert_string_equal(got, "SELECT * FROM millrace.ingestor_pipelines()");
	mr_catalogue_relays(NULL, reply);
	assert_string_equal(got, "SELECT * FROM millrace.relay_pipelines()");
	mr_catalogue_positions(NULL, "p", reply);
	assert_string_equal(got, "SELECT * FROM millrace.positions($1)|p");
	mr_catalogue_add_partitions(NULL, "p", 3, numbers, 2, reply);
	assert_string_equal(got,
						"SELECT millrace.add_partitions($1, $2, $3)|p|3|{0,9223372036854775807}");
	mr_catalogue_set_position(NULL, "p", 4, INT64_MIN, 12, reply);
	assert_string_equal(got,
						"SELECT millrace.set_position($1, $2, $3, $4)|p|4|-9223372036854775808|12");
	mr_catalogue_stop_partition(NULL, "p", 4, -5, "it's", "hint", reply);
	assert_string_equal(got, "SELECT millrace.stop_partition($1, $2, $3, $4, $5)|p|4|-5|it's|hint");
	mr_catalogue_report_ends(NULL, "p", numbers, numbers, unknown, 2, false, reply);
	assert_string_equal(got, "SELECT millrace.report_watermarks($1, $2, $3, $4, $5)|p|"
							 "{0,9223372036854775807}|{0,9223372036854775807}|{NULL,5}|f");
	mr_catalogue_report(NULL, "p", "{}", reply);
	assert_string_equal(got, "SELECT millrace.report($1, $2)|p|{}");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_are_in_the_order_of_the_functions),
	};

	return cmocka_run_group_tests_name("ingestor/control/catalogue", tests, NULL, NULL);
}
