/* CSV cells, entity tags, coordinates, hosts, server-sent events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/request/coordinate.h"
#include "api/request/csv.h"
#include "api/request/etag.h"
#include "api/request/host.h"
#include "api/request/prefer.h"
#include "api/request/sse.h"

static void
expect_cell(const char *text, bool of_numbers, bool raw, const char *cell)
{
	MrBuffer out = {0};

	mr_csv_cell(&out, text, of_numbers, raw);
	assert_string_equal(mr_buffer_string(&out), cell);
	mr_buffer_free(&out);
}

static void
csv_cells(void **state)
{
	(void) state;
	expect_cell(NULL, false, false, "");
	expect_cell("", false, false, "\"\"");
	expect_cell("a b", false, false, "a b");
	expect_cell("a,b", false, false, "\"a,b\"");
	expect_cell("a\"b", false, false, "\"a\"\"b\"");
	expect_cell("=1+1", false, false, "\"'=1+1\"");
	expect_cell("=1+1", false, true, "=1+1");
	expect_cell("@a\"", false, false, "\"'@a\"\"\"");
	expect_cell("\tx", false, false, "\"'\tx\"");
	/* text that looks like a number is text */
	expect_cell("-3.5", false, false, "\"'-3.5\"");
	expect_cell("+1", false, false, "\"'+1\"");
	expect_cell("-3.5", false, true, "-3.5");
	expect_cell("-3.5e1", true, false, "-3.5e1");
	expect_cell("+1", true, false, "+1");
	/* what a column of numbers, or of JSON, has that is none */
	expect_cell("\t1", true, false, "\"'\t1\"");
	expect_cell("\r-1", true, false, "\"'\r-1\"");
	expect_cell("-1+2", true, false, "\"'-1+2\"");
	expect_cell("-Infinity", true, false, "\"'-Infinity\"");
	expect_cell("-0x1", true, false, "\"'-0x1\"");
}

static void
etags(void **state)
{
	char variant[MR_ETAG_VARIANT_SIZE];
	char a[MR_ETAG_SIZE];
	char b[MR_ETAG_SIZE];
	char list[120];

	(void) state;
	mr_etag_make(a, "abc", 3);
	mr_etag_make(b, "abd", 3);
	assert_string_equal(a, "\"ba7816bf8f01cfea414140de5dae2223\"");
	assert_string_not_equal(a, b);
	assert_true(mr_etag_matches(a, a));
	assert_false(mr_etag_matches(b, a));
	assert_false(mr_etag_matches(NULL, a));
	assert_false(mr_etag_matches("", a));
	mr_etag_gzip(variant, a);
	assert_true(mr_etag_matches(variant, a));
	assert_false(mr_etag_matches(variant, b));
	assert_int_equal(strlen(variant), strlen(a) + 5);
	assert_true(mr_etag_matches("*", a));
	assert_false(mr_etag_matches("*x", a));
	assert_false(mr_etag_matches("\"open", a));
	strcpy(list, "\"x,\" , W/");
	strcat(list, a);
	assert_true(mr_etag_matches(list, a));
	strcat(strcat(strcpy(list, b), ",junk,"), a);
	assert_true(mr_etag_matches(list, a));
}

static void
coordinates(void **state)
{
	static const char *const wrong[] = {"",
										"a",
										"a:1",
										"a:1:",
										":1:2",
										"a:01:2",
										"a:1:02",
										"a:-1:2",
										"a:1:2:3",
										"a b:1:2",
										"a:1:2 ",
										"a:2147483648:0",
										"a:1:9223372036854775808",
										"a:1:99999999999999999999",
										"a:1x:2",
										"a:99999999999:1",
										"ä:1:2"};
	MrCoordinate c;
	char topic[300];

	(void) state;
	assert_true(mr_coordinate_read(&c, "a.b_c-1:2147483647:9223372036854775807"));
	assert_string_equal(c.topic, "a.b_c-1");
	assert_string_equal(c.partition, "2147483647");
	assert_string_equal(c.offset, "9223372036854775807");
	assert_true(mr_coordinate_read(&c, "a:0:0"));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (mr_coordinate_read(&c, wrong[i]))
			fail_msg("%s", wrong[i]);
	memset(topic, 'a', sizeof(topic));
	strcpy(topic + 249, ":0:0");
	assert_true(mr_coordinate_read(&c, topic));
	strcpy(topic + 249, "a:0:0");
	assert_false(mr_coordinate_read(&c, topic));
}

static void
hosts(void **state)
{
	char *names[] = {"api.example"};
	const MrStrings allowed = {names, 1};
	const MrStrings none = {0};

	(void) state;
	assert_true(mr_host_is_allowed("localhost", &none));
	assert_true(mr_host_is_allowed("LocalHost:80", &none));
	assert_true(mr_host_is_allowed("127.0.0.1:8080", &none));
	assert_true(mr_host_is_allowed("[::1]:1", &none));
	assert_false(mr_host_is_allowed("localhost.example", &none));
	assert_false(mr_host_is_allowed("api.example", &none));
	assert_true(mr_host_is_allowed("API.example:1", &allowed));
	assert_false(mr_host_is_allowed(NULL, &allowed));
	assert_true(mr_is_same_site(NULL, NULL, &none));
	assert_true(mr_is_same_site("http://localhost:3000", "same-origin", &none));
	assert_true(mr_is_same_site("https://api.example", "none", &allowed));
	assert_false(mr_is_same_site("http://api.example", NULL, &none));
	assert_false(mr_is_same_site("null", NULL, &none));
	assert_false(mr_is_same_site("localhost", NULL, &none));
	assert_false(mr_is_same_site(NULL, "cross-site", &none));
	assert_true(mr_address_is_loopback("127.0.0.1") && mr_address_is_loopback("::1"));
	assert_false(mr_address_is_loopback("0.0.0.0") || mr_address_is_loopback("::"));
}

static void
expect_event(const char *name, const char *id, const char *data, const char *text)
{
	MrBuffer out = {0};

	mr_sse_event(&out, name, id, data, strlen(data));
	assert_string_equal(mr_buffer_string(&out), text);
	mr_buffer_free(&out);
}

/* A client joins the lines of the data with LF; CR ends one, too. */
static void
server_sent_events(void **state)
{
	MrBuffer out = {0};

	(void) state;
	expect_event(NULL, NULL, "{}", "data: {}\n\n");
	expect_event("problem", "1.2", "x", "event: problem\nid: 1.2\ndata: x\n\n");
	expect_event(NULL, NULL, "", "data: \n\n");
	expect_event(NULL, NULL, "a\nb\rc\r\nd", "data: a\ndata: b\ndata: c\ndata: d\n\n");
	expect_event(NULL, NULL, "a\n", "data: a\ndata: \n\n");
	expect_event(NULL, NULL, "\n\n", "data: \ndata: \ndata: \n\n");
	expect_event(NULL, NULL, ": x\nid: 3", "data: : x\ndata: id: 3\n\n");
	mr_sse_retry(&out, 2000);
	mr_sse_comment(&out);
	assert_string_equal(mr_buffer_string(&out), "retry: 2000\n\n:\n\n");
	mr_buffer_free(&out);
}

static void
preferences(void **state)
{
	static const char *const yes[] = {"count=estimated", "return=minimal, count=estimated",
									  "COUNT = \"estimated\"; x=y", ",,count=estimated,wait=3"};
	static const char *const no[] = {"",
									 "count",
									 "count=exact",
									 "counts=estimated",
									 "count=exact, count=estimated",
									 "count=estimatedly",
									 "x;count=estimated",
									 "count=\"estimated"};

	(void) state;
	assert_false(mr_prefers(NULL, "count", "estimated"));
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (!mr_prefers(yes[i], "count", "estimated"))
			fail_msg("%s", yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (mr_prefers(no[i], "count", "estimated"))
			fail_msg("%s", no[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(csv_cells),          cmocka_unit_test(etags),
		cmocka_unit_test(coordinates),        cmocka_unit_test(hosts),
		cmocka_unit_test(server_sent_events), cmocka_unit_test(preferences),
	};

	return cmocka_run_group_tests_name("request/small", tests, NULL, NULL);
}
