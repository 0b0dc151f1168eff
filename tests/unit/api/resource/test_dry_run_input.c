/* The body of a dry run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/resource/dry_run_input.h"

/* NULL: it is taken; else a part of what is said. */
static void
expect(const char *body, const char *said)
{
	char error[200] = "";
	bool ok = mr_dry_run_input_check(body, strlen(body), error, sizeof(error));

	if (ok != (said == NULL) || (said != NULL && strstr(error, said) == NULL))
		fail_msg("%s: %s", body, ok ? "taken" : error);
}

static void
bodies(void **state)
{
	(void) state;
	expect("", NULL);
	expect("{}", NULL);
	expect("{\"staged\": 10}", NULL);
	expect("{\"samples\": [{\"a\": 1}, \"text\", null, 12345678901234567890]}", NULL);
	expect("{\"samples\": [1], \"key\": \"k\", \"headers\": {\"h\": null}, \"topic\": \"t\", "
		   "\"time\": \"2026-01-01\"}",
		   NULL);
	expect("[]", "not a JSON object");
	expect("{\"samples\": [1]", "not a JSON object");
	expect("{\"samples\": [1], \"samples\": [2]}", "not a JSON object");
	expect("{\"samples\": []}", "array of 1 to");
	expect("{\"samples\": {}}", "array of 1 to");
	expect("{\"samples\": null}", "array of 1 to");
	expect("{\"samples\": [1], \"staged\": 1}", "exclude");
	expect("{\"staged\": 0}", "staged is not");
	expect("{\"staged\": 1.5}", "staged is not");
	expect("{\"staged\": 1001}", "staged is not");
	expect("{\"staged\": \"1\"}", "staged is not");
	expect("{\"key\": \"k\"}", "is for samples");
	expect("{\"samples\": [1], \"key\": 1}", "key is 1.0, expected a string");
	expect("{\"samples\": [1], \"topic\": null}", "topic is null, expected a string");
	expect("{\"sample\": [1]}", "no member \"sample\"");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(bodies)};

	return cmocka_run_group_tests_name("dry_run_input", tests, NULL, NULL);
}
