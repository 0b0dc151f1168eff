/* Parameters to SQL: names are the relation's, values are parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/resource/event_query.h"

static MrColumn columns[] = {
	{"id", "id", "uuid", false, true, true, false, NULL},
	{"time", "\"time\"", "timestamp with time zone", false, true, true, false, NULL},
	{"type", "type", "text", false, true, true, false, NULL},
	{"n", "n", "bigint", true, false, true, false, (char[]){"CREATE INDEX"}},
	{"list", "list", "integer[]", false, false, false, false, (char[]){"CREATE INDEX"}},
};
static const MrRelation relation = {.ident = "public.e",
									.columns = columns,
									.count = 5,
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

#define ROW   "SELECT t.id, t.\"time\", t.type, t.n, to_json(t.list) AS list FROM public.e AS t"
#define ORDER " ORDER BY t.\"time\" DESC, t.id DESC LIMIT "

static void
statements(void **state)
{
	(void) state;
	expect(NULL, MR_FORMAT_JSON, ROW ORDER "101", 0);
	expect("type=a'b&from=x&to=y&limit=1", MR_FORMAT_NDJSON,
		   ROW
		   " WHERE t.\"time\" >= $1::timestamp with time zone AND t.\"time\" < $2::timestamp with "
		   "time "
		   "zone AND t.type = $3::text" ORDER "2",
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
		{"id", "id", "uuid", false, true, true, false, NULL},
		{"time", "\"time\"", "timestamp with time zone", false, true, true, false, NULL},
		{"words", "words", "tsvector", false, false, true, true, NULL},
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
		"SELECT t.id, t.\"time\" FROM public.e AS t WHERE t.\"time\" >= $1::timestamp with time "
		"zone AND "
		"t.words OPERATOR(pg_catalog.@@) pg_catalog.websearch_to_tsquery($2::text)" ORDER "101");
	assert_string_equal(query.values[1], "a b");
	assert_string_equal(mr_buffer_string(&query.estimate),
						"EXPLAIN (FORMAT JSON) SELECT FROM public.e AS t WHERE t.\"time\" >= "
						"$1::timestamp with time zone AND t.words OPERATOR(pg_catalog.@@) "
						"pg_catalog.websearch_to_tsquery($2::text)");
	assert_int_equal(query.estimate_count, 2);
	assert_false(query.is_planned_alike);
	done();
	assert_true(mr_params_parse(&params, "q=a", error, sizeof(error)));
	assert_false(
		mr_event_query_build(&query, &searched, &params, MR_FORMAT_JSON, &secret, &refusal));
	assert_int_equal(refusal.problem, MR_PROBLEM_FILTER);
	done();
	assert_true(mr_params_parse(&params, "fields=words", error, sizeof(error)));
	assert_true(
		mr_event_query_build(&query, &searched, &params, MR_FORMAT_JSON, &secret, &refusal));
	assert_non_null(
		strstr(query.sql.data, "SELECT t.words, t.\"time\"::text, t.id::text FROM public.e"));
	assert_int_equal(query.column_count, 1);
	assert_int_equal(query.key_columns[0], 1);
	assert_int_equal(query.key_columns[1], 2);
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
			   "t.\"time\" ASC, t.id ASC LIMIT 9"));
	assert_string_equal(query.values[1], "then");
	assert_string_equal(query.values[2], "that");
	done();
	mr_buffer_free(&text);
}

/* A client that pages by offset needs no index on Kafka's. */
static void
names_of_other_services(void **state)
{
	char *name = columns[4].name;

	(void) state;
	assert_false(build("page=2", MR_FORMAT_JSON));
	assert_non_null(strstr(refusal.hint, "rel=\"next\""));
	done();
	assert_false(build("eventType=a", MR_FORMAT_JSON));
	assert_string_equal(refusal.hint, "Did you mean \"type\"?");
	done();
	columns[4].name = (char[]){"offset"};
	assert_false(build("limit=10&offset=10", MR_FORMAT_JSON));
	assert_int_equal(refusal.problem, MR_PROBLEM_FILTER);
	assert_non_null(strstr(refusal.hint, "rel=\"next\""));
	assert_non_null(strstr(refusal.hint, " For a filter: CREATE INDEX; then"));
	done();
	columns[4].name = name;
}

/* The keys of a row are among what is shown, or behind it. */
static void
keys(void **state)
{
	(void) state;
	assert_true(build("fields=n,id", MR_FORMAT_JSON));
	assert_non_null(strstr(query.sql.data, "SELECT t.n, t.id, t.\"time\"::text FROM public.e"));
	assert_int_equal(query.key_columns[0], 2);
	assert_int_equal(query.key_columns[1], 1);
	done();
	assert_true(build("fields=n,id", MR_FORMAT_CSV));
	assert_int_equal(query.key_columns[0], 2);
	assert_int_equal(query.key_columns[1], 3);
	done();
	/* a key of another type: what is shown is not its text */
	columns[0].is_plain = false;
	assert_true(build("fields=id,time", MR_FORMAT_JSON));
	assert_non_null(
		strstr(query.sql.data, "SELECT to_json(t.id) AS id, t.\"time\", t.id::text FROM public.e"));
	assert_int_equal(query.key_columns[0], 1);
	assert_int_equal(query.key_columns[1], 2);
	done();
	columns[0].is_plain = true;
}

/* Only what the index of the order serves, whatever the values. */
static void
plans(void **state)
{
	static const struct
	{
		const char *text;
		bool alike;
	} all[] = {{NULL, true},
			   {"limit=5&from=x&to=y&fields=n", true},
			   {"type=a", false},
			   {"from=x&type=gt.a", false}};

	(void) state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
	{
		assert_true(build(all[i].text, MR_FORMAT_JSON));
		assert_int_equal(query.is_planned_alike, all[i].alike);
		done();
	}
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
		cmocka_unit_test(statements),
		cmocka_unit_test(values),
		cmocka_unit_test(search),
		cmocka_unit_test(a_cursor),
		cmocka_unit_test(names_of_other_services),
		cmocka_unit_test(keys),
		cmocka_unit_test(plans),
		cmocka_unit_test(refused),
	};

	mr_cursor_secret_make(&secret, "x");
	return cmocka_run_group_tests_name("resource/event_query", tests, NULL, NULL);
}
