/* What streams begin with, over a pool that only counts: few statements for however many that begin at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/resource/stream_check.h"
#include "common/buffer.h"

#define STREAMS 1000

/* Stands for a query that runs. */
struct MrQuery
{
	MrQueryEnd end;
	void *owner;
	bool runs;
};

static MrQuery queries[2 * STREAMS];
static int begun, running, refused;
static bool is_away;

MrQuery *
mr_pool_query(MrPool *pool, const char *name, const char *sql, int count, const char *const *values,
			  MrQueryEnd end, void *owner, MrQueryFailure *failure)
{
	(void) pool, (void) name, (void) sql, (void) count, (void) values;
	if (is_away)
	{
		refused++;
		*failure = MR_QUERY_LOST;
		return NULL;
	}
	queries[begun] = (MrQuery){end, owner, true};
	running++;
	return &queries[begun++];
}

void
mr_query_abandon(MrQuery *query)
{
	query->runs = false;
	running--;
}

bool
mr_params_equal(const MrParams *a, const MrParams *b)
{
	return a->count == b->count;
}

/* The oldest that runs gives its result. */
static void
finish(MrQueryFailure failure)
{
	for (int i = 0; i < begun; i++)
		if (queries[i].runs)
		{
			queries[i].runs = false;
			running--;
			queries[i].end(queries[i].owner, failure, NULL, NULL);
			return;
		}
}

typedef struct Stream
{
	MrStreamCheck check;
	MrParams params;
	char place[16];
	int ended;
	MrQueryFailure failure;
	struct Stream *ends; /* leaves when this one has its result */
} Stream;

static void
on_end(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	Stream *stream = owner;

	(void) result, (void) error;
	stream->ended++;
	stream->failure = failure;
	if (stream->ends != NULL)
		mr_stream_check_forget(&stream->ends->check);
}

static MrEventQuery query;
static Stream streams[STREAMS];

static int
begin(void **state)
{
	begun = running = refused = 0;
	is_away = false;
	memset(streams, 0, sizeof(streams));
	*state = mr_stream_checks_new(NULL);
	return 0;
}

static int
end(void **state)
{
	assert_int_equal(running, 0);
	mr_stream_checks_free(*state);
	return 0;
}

static void
ask(MrStreamChecks *checks, int from, int count, int places)
{
	for (int i = from; i < from + count; i++)
	{
		MrQueryFailure failure;
		bool asked;

		streams[i].place[0] = (char) (i % places > 0 ? 'a' + i % places : '\0');
		asked = mr_stream_check_ask(checks, &streams[i].check, &streams[i].params, streams[i].place,
									&query, on_end, &streams[i], &failure);
		assert_true(asked || failure == MR_QUERY_LOST);
	}
}

/* Those that wait share one statement for each place; those behind a statement that runs do not get what it says. */
static void
few_statements(void **state)
{
	MrStreamChecks *checks = *state;

	ask(checks, 0, STREAMS / 2, 5);
	assert_int_equal(begun, MR_STREAM_CHECKS);
	while (running > 0)
		finish(MR_QUERY_OK);
	assert_int_equal(begun, MR_STREAM_CHECKS + 5);
	ask(checks, STREAMS / 2, STREAMS / 2, 1);
	while (running > 0)
		finish(MR_QUERY_ERROR);
	assert_int_equal(begun, 2 * MR_STREAM_CHECKS + 5 + 1);
	for (int i = 0; i < STREAMS; i++)
	{
		assert_int_equal(streams[i].ended, 1);
		assert_int_equal(streams[i].failure, i < STREAMS / 2 ? MR_QUERY_OK : MR_QUERY_ERROR);
	}
}

/* Whoever asked first, and while the others are answered. */
static void
some_leave(void **state)
{
	MrStreamChecks *checks = *state;

	ask(checks, 0, STREAMS, 1);
	for (int i = 0; i < STREAMS; i += 2)
		mr_stream_check_forget(&streams[i].check);
	assert_int_equal(running, 1);
	streams[3].ends = &streams[5];
	mr_stream_checks_tick(checks);
	while (running > 0)
		finish(MR_QUERY_OK);
	for (int i = 0; i < STREAMS; i++)
		assert_int_equal(streams[i].ended, i % 2 == 1 && i != 5);
	assert_int_equal(begun, MR_STREAM_CHECKS + 1);
}

/* All are refused at once, those that wait too. */
static void
the_database_is_away(void **state)
{
	MrStreamChecks *checks = *state;

	ask(checks, 0, 100, 10);
	is_away = true;
	while (running > 0)
		finish(MR_QUERY_LOST);
	for (int i = 0; i < 100; i++)
		assert_int_equal(streams[i].ended, 1);
	ask(checks, 100, 1, 1);
	assert_null(streams[100].check.statement);
	assert_int_equal(refused, 10 + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(few_statements, begin, end),
									   cmocka_unit_test_setup_teardown(some_leave, begin, end),
									   cmocka_unit_test_setup_teardown(the_database_is_away, begin,
																	   end)};

	return cmocka_run_group_tests_name("resource/stream_check", tests, NULL, NULL);
}
