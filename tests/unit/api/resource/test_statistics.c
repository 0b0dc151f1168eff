/* The statistics of one source for several threads, over a pool that only counts. The loops turn in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/resource/statistics.h"
#include "common/buffer.h"
#include "common/eventloop.h"

#define THREADS 3

/* Stands for the query that runs. */
struct MrQuery
{
	MrQueryEnd end;
	void *owner;
};

typedef struct Client
{
	int answers;
	MrQueryFailure failure;
	char text[32];
	char sqlstate[6];
} Client;

typedef struct Fixture
{
	struct event_base *main;
	struct event_base *loops[THREADS];
	MrStatisticsSource *source;
	MrStatistics *threads[THREADS];
} Fixture;

static MrQuery query;
static int queries;
static bool is_refused;

MrPool *
mr_pool_new(const MrPoolSetup *setup)
{
	(void) setup;
	return NULL;
}

MrQuery *
mr_pool_query(MrPool *pool, const char *name, const char *sql, int count, const char *const *values,
			  MrQueryEnd end, void *owner, MrQueryFailure *failure)
{
	(void) pool, (void) name, (void) sql, (void) count, (void) values;
	*failure = is_refused ? MR_QUERY_LOST : MR_QUERY_OK;
	if (is_refused)
		return NULL;
	assert_null(query.end);
	query = (MrQuery){end, owner};
	queries++;
	return &query;
}

void
mr_query_abandon(MrQuery *ended)
{
	ended->end = NULL;
}

void
mr_pool_tick(MrPool *pool)
{
	(void) pool;
}

bool
mr_pool_is_connected(const MrPool *pool)
{
	(void) pool;
	return !is_refused;
}

bool
mr_pool_is_in_trouble(const MrPool *pool)
{
	(void) pool;
	return is_refused;
}

void
mr_pool_free(MrPool *pool)
{
	(void) pool;
}

static void
end_query(const char *text, const MrPgError *error)
{
	PGresult *result = text != NULL ? PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK) : NULL;
	PGresAttDesc column = {.name = (char[]){"t"}};
	MrQuery ended = query;

	query.end = NULL;
	if (text != NULL)
	{
		assert_true(PQsetResultAttrs(result, 1, &column));
		assert_true(PQsetvalue(result, 0, 0, (char *) text, (int) strlen(text)));
	}
	ended.end(ended.owner, error != NULL ? MR_QUERY_ERROR : MR_QUERY_OK, result, error);
	PQclear(result);
}

static void
on_answer(void *owner, const MrStatisticsAnswer *answer)
{
	Client *client = owner;

	client->answers++;
	client->failure = answer->failure;
	client->text[0] = client->sqlstate[0] = '\0';
	if (answer->text != NULL)
		snprintf(client->text, sizeof(client->text), "%.*s", (int) answer->len, answer->text);
	if (answer->error != NULL)
		memcpy(client->sqlstate, answer->error->sqlstate, sizeof(client->sqlstate));
}

static void
turn(Fixture *f)
{
	event_base_loop(f->main, EVLOOP_NONBLOCK);
	for (int i = 0; i < THREADS; i++)
		if (f->threads[i] != NULL)
			event_base_loop(f->loops[i], EVLOOP_NONBLOCK);
}

static void
end_thread(Fixture *f, int thread)
{
	mr_statistics_free(f->threads[thread]);
	f->threads[thread] = NULL;
}

static int
set_up(void **state)
{
	Fixture *f = mr_calloc(1, sizeof(*f));
	MrPoolSetup setup = {0};

	queries = 0;
	is_refused = false;
	setup.base = f->main = event_base_new();
	f->source = mr_statistics_source_new(&setup);
	for (int i = 0; i < THREADS; i++)
	{
		f->loops[i] = event_base_new();
		f->threads[i] = mr_statistics_new(f->loops[i], f->source);
	}
	turn(f);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	Fixture *f = *state;

	for (int i = 0; i < THREADS; i++)
	{
		end_thread(f, i);
		event_base_free(f->loops[i]);
	}
	mr_statistics_source_free(f->source);
	event_base_free(f->main);
	free(f);
	assert_null(query.end);
	return 0;
}

static void
all_threads_share_a_query(void **state)
{
	Fixture *f = *state;
	Client clients[THREADS + 2] = {0};

	for (int i = 0; i < THREADS; i++)
		assert_non_null(mr_statistics_ask(f->threads[i], on_answer, &clients[i]));
	turn(f);
	assert_non_null(mr_statistics_ask(f->threads[0], on_answer, &clients[THREADS]));
	turn(f);
	assert_int_equal(queries, 1);
	end_query("first", NULL);
	turn(f);
	/* fresh, or there was a pause, and it is asked for again */
	if (mr_statistics_ask(f->threads[1], on_answer, &clients[THREADS + 1]) != NULL)
	{
		turn(f);
		end_query("first", NULL);
		turn(f);
	}
	for (int i = 0; i < THREADS + 2; i++)
	{
		assert_int_equal(clients[i].answers, 1);
		assert_string_equal(clients[i].text, "first\n");
	}
}

/* What one thread has got is fresh for a thread that has not asked before. */
static void
a_fresh_one_needs_no_query(void **state)
{
	Fixture *f = *state;
	Client clients[2] = {0};
	int64_t began = mr_now_ms();

	mr_statistics_ask(f->threads[0], on_answer, &clients[0]);
	turn(f);
	end_query("first", NULL);
	turn(f);
	if (mr_statistics_ask(f->threads[1], on_answer, &clients[1]) != NULL)
	{
		assert_true(mr_now_ms() - began >= MR_STATISTICS_FRESH_MS);
		turn(f);
		end_query("first", NULL);
		turn(f);
	}
	assert_string_equal(clients[1].text, "first\n");
}

/* Until it is old: then there is another one, for all. */
static void
an_old_one_is_rendered_again(void **state)
{
	Fixture *f = *state;
	Client client = {0};

	mr_statistics_ask(f->threads[0], on_answer, &client);
	turn(f);
	end_query("first", NULL);
	turn(f);
	while (mr_statistics_ask(f->threads[1], on_answer, &client) == NULL)
		assert_string_equal(client.text, "first\n");
	turn(f);
	assert_int_equal(queries, 2);
	end_query("second", NULL);
	turn(f);
	assert_string_equal(client.text, "second\n");
}

static void
who_leaves_holds_up_nobody(void **state)
{
	Fixture *f = *state;
	Client clients[THREADS] = {0};
	MrStatisticsWait *waits[THREADS];

	for (int i = 0; i < THREADS; i++)
		waits[i] = mr_statistics_ask(f->threads[i], on_answer, &clients[i]);
	turn(f);
	/* the client of one leaves; the thread that asked first ends */
	mr_statistics_forget(waits[0]);
	end_thread(f, 0);
	mr_statistics_forget(waits[2]);
	end_query("first", NULL);
	turn(f);
	assert_int_equal(clients[0].answers + clients[2].answers, 0);
	assert_string_equal(clients[1].text, "first\n");
	/* and one that has not taken what was rendered */
	do
		waits[2] = mr_statistics_ask(f->threads[2], on_answer, &clients[2]);
	while (waits[2] == NULL);
	event_base_loop(f->main, EVLOOP_NONBLOCK);
	end_query("second", NULL);
	mr_statistics_forget(waits[2]);
	end_thread(f, 2);
}

static void
failures_are_everybodys_and_not_kept(void **state)
{
	Fixture *f = *state;
	Client clients[2] = {0};
	MrPgError error;

	mr_pg_error_set(&error, "42501", "permission denied", "");
	for (int i = 0; i < 2; i++)
		mr_statistics_ask(f->threads[i], on_answer, &clients[i]);
	turn(f);
	end_query(NULL, &error);
	memset(&error, 0, sizeof(error));
	turn(f);
	for (int i = 0; i < 2; i++)
	{
		assert_int_equal(clients[i].failure, MR_QUERY_ERROR);
		assert_string_equal(clients[i].sqlstate, "42501");
	}
	is_refused = true;
	assert_non_null(mr_statistics_ask(f->threads[0], on_answer, &clients[0]));
	turn(f);
	assert_int_equal(clients[0].failure, MR_QUERY_LOST);
	assert_string_equal(clients[0].sqlstate, "");
	is_refused = false;
	assert_non_null(mr_statistics_ask(f->threads[0], on_answer, &clients[0]));
	turn(f);
	end_query("at last", NULL);
	turn(f);
	assert_string_equal(clients[0].text, "at last\n");
}

/* A process takes connections when it can answer, and sooner than otherwise when it knows that it cannot. */
static void
what_it_can_is_seen(void **state)
{
	Fixture *f = *state;

	assert_true(mr_statistics_source_is_connected(f->source));
	assert_false(mr_statistics_source_is_in_trouble(f->source));
	is_refused = true;
	while (mr_statistics_source_is_connected(f->source))
		turn(f);
	assert_true(mr_statistics_source_is_in_trouble(f->source));
}

/* All ends while it is rendered: nothing is left, and nothing is called. */
static void
the_end_while_it_is_rendered(void **state)
{
	Fixture *f = *state;
	Client client = {0};
	MrStatisticsWait *wait = mr_statistics_ask(f->threads[0], on_answer, &client);

	turn(f);
	assert_non_null(query.end);
	mr_statistics_forget(wait);
	assert_int_equal(client.answers, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_threads_share_a_query, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_fresh_one_needs_no_query, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_old_one_is_rendered_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_leaves_holds_up_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(failures_are_everybodys_and_not_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_it_can_is_seen, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_end_while_it_is_rendered, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
