/* Parameters to SQL: names are the relation's, values are parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/resource/event_query.h"

static MrColumn columns[] = {
	{"id", "id", "uuid", false, true, false, NULL},
	{"time", "\"time\"", "timestamp with time zone", false, true, false, NULL},
	{"type", "type", "text", false, true, false, NULL},
	{"n", "n", "bigint", true, false, false, (char[]){"CREATE INDEX"}},
};
static const MrRelation relation = {.ident = "public.e",
									.columns = columns,
									.count = 4,
									.id = 0,
									.time = 1,
									.coordinate = {-1, -1, -1}};
static MrCursorSecret secret;
static MrEventQuery query;
static MrParams params;
static MrListRefusal refusal;

static bool
build(const char *text, MrFormat format)
{
	char error[128];
	bool ok;

	assert_true(mr_params_parse(&params, text, error, sizeof(error)));
	ok = mr_event_query_build(&query, &relation, &params, format, &secret, &refusal);
	return ok;
}

static void
done(void)
{
	mr_event_query_free(&query);
	mr_params_free(&params);
}

static void
expect(const char *text, MrFormat format, const char *sql, int count)
{
	if (!build(text, format))
		fail_msg("%s: %s", text, refusal.detail);
	assert_string_equal(query.sql.data, sql);
	assert_int_equal(query.count, count);
	done();
}

static void
expect_refusal(const char *text, MrProblem problem)
{
	assert_false(build(text, MR_FORMAT_JSON));
	assert_int_equal(refusal.problem, problem);
	done();
}

#define ROW                                                                                        \
	"SELECT row_to_json(j)::text AS json, t.\"time\" AS at, t.id AS id FROM public.e AS t CROSS "  \
	"JOIN LATERAL (SELECT t.id AS id, t.\"time\" AS \"time\", t.type AS type, t.n::text AS n) AS " \
	"j"
#define ORDER " ORDER BY t.\"time\" DESC, t.id DESC LIMIT "

static void
statements(void **state)
{
	(void) state;
	expect(NULL, MR_FORMAT_JSON,
		   "SELECT e.json, e.at::text, e.id::text FROM (" ROW ORDER "101) AS e", 0);
	expect("type=a'b&from=x&to=y&limit=1", MR_FORMAT_NDJSON,
		   "SELECT e.json, e.at::text, e.id::text FROM (" ROW
		   " WHERE t.\"time\" >= $1::timestamp with time zone AND t.\"time\" < $2::timestamp with "
		   "time "
		   "zone AND t.type = $3::text" ORDER "2) AS e",
		   3);
	expect(
		"type=in.(a,\"b,\\\"\",)&fields=n,id", MR_FORMAT_CSV,
		"SELECT e.c0::text, e.c1::text, e.at::text, e.id::text FROM (SELECT t.n AS c0, t.id AS c1, "
		"t.\"time\" AS at, t.id AS id FROM public.e AS t WHERE t.type IN ($1::text, $2::text, "
		"$3::text)" ORDER "101) AS e",
		3);
}

static void
values(void **state)
{
	(void) state;
	assert_true(build("type=in.(a,\"b,\\\"\",)", MR_FORMAT_JSON));
	assert_string_equal(query.values[0], "a");
	assert_string_equal(query.values[1], "b,\"");
	assert_string_equal(query.values[2], "");
	done();
	assert_true(build("type=gte.gte.5", MR_FORMAT_JSON));
	assert_non_null(strstr(query.sql.data, "t.type >= $1::text"));
	assert_string_equal(query.values[0], "gte.5");
	done();
}

/* A relation with a column for q=, which is shown when it is named. */
static void
search(void **state)
{
	static MrColumn with[] = {
		{"id", "id", "uuid", false, true, false, NULL},
		{"time", "\"time\"", "timestamp with time zone", false, true, false, NULL},
		{"words", "words", "tsvector", false, false, true, NULL},
	};
	const MrRelation searched = {
		.ident = "public.e", .columns = with, .count = 3, .time = 1, .coordinate = {-1, -1, -1}};
	char error[128];

	(void) state;
	expect_refusal("q=a&from=x", MR_PROBLEM_PARAMETER);
	assert_true(mr_params_parse(&params, "q=a+b&from=x", error, sizeof(error)));
	assert_true(
		mr_event_query_build(&query, &searched, &params, MR_FORMAT_JSON, &secret, &refusal));
	assert_string_equal(
		query.sql.data,
		"SELECT e.json, e.at::text, e.id::text FROM (SELECT row_to_json(j)::text AS json, "
		"t.\"time\" AS at, t.id AS id FROM public.e AS t CROSS JOIN LATERAL (SELECT t.id AS id, "
		"t.\"time\" AS \"time\") AS j WHERE t.\"time\" >= $1::timestamp with time zone AND "
		"t.words OPERATOR(pg_catalog.@@) pg_catalog.websearch_to_tsquery($2::text)" ORDER
		"101) AS e");
	assert_string_equal(query.values[1], "a b");
	assert_string_equal(mr_buffer_string(&query.estimate),
						"EXPLAIN (FORMAT JSON) SELECT FROM public.e AS t WHERE t.\"time\" >= "
						"$1::timestamp with time zone AND t.words OPERATOR(pg_catalog.@@) "
						"pg_catalog.websearch_to_tsquery($2::text)");
	assert_int_equal(query.estimate_count, 2);
	done();
	assert_true(mr_params_parse(&params, "q=a", error, sizeof(error)));
	assert_false(
		mr_event_query_build(&query, &searched, &params, MR_FORMAT_JSON, &secret, &refusal));
	assert_int_equal(refusal.problem, MR_PROBLEM_FILTER);
	done();
	assert_true(mr_params_parse(&params, "fields=words", error, sizeof(error)));
	assert_true(
		mr_event_query_build(&query, &searched, &params, MR_FORMAT_JSON, &secret, &refusal));
	assert_non_null(strstr(query.sql.data, "(SELECT t.words AS words) AS j"));
	done();
}

static void
a_cursor(void **state)
{
	MrBuffer text = {0};

	(void) state;
	assert_true(build("type=a&limit=7", MR_FORMAT_JSON));
	mr_buffer_printf(&text, "limit=8&type=a&cursor=");
	mr_cursor_write(&text, &secret, query.filters.data, true, "then", "that");
	done();
	assert_true(build(mr_buffer_string(&text), MR_FORMAT_JSON));
	assert_non_null(
		strstr(query.sql.data,
			   " AND (t.\"time\", t.id) > ($2::timestamp with time zone, $3::uuid) ORDER BY "
			   "t.\"time\" ASC, t.id ASC LIMIT 9) AS e"));
	assert_string_equal(query.values[1], "then");
	assert_string_equal(query.values[2], "that");
	done();
	mr_buffer_free(&text);
}

static void
refused(void **state)
{
	(void) state;
	expect_refusal("typo=1", MR_PROBLEM_PARAMETER);
	expect_refusal("n=1", MR_PROBLEM_FILTER);
	expect_refusal("limit=2000", MR_PROBLEM_VALUE);
	expect_refusal("fields=id,", MR_PROBLEM_VALUE);
	expect_refusal("type=in.(a\"b", MR_PROBLEM_VALUE);
	expect_refusal("type=in.(\"a", MR_PROBLEM_VALUE);
	expect_refusal("cursor=a", MR_PROBLEM_CURSOR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statements), cmocka_unit_test(values),  cmocka_unit_test(search),
		cmocka_unit_test(a_cursor),   cmocka_unit_test(refused),
	};

	mr_cursor_secret_make(&secret, "x");
	return cmocka_run_group_tests_name("resource/event_query", tests, NULL, NULL);
}
