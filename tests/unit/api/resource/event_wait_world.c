/* event_wait_world.c: see event_wait_world.h. */
#include "event_wait_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/log.h"

MrQuery query;
int queries;
bool is_refused;

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
	(void) pool, (void) name, (void) sql;
	*failure = is_refused ? MR_QUERY_LOST : MR_QUERY_OK;
	queries++;
	if (is_refused)
		return NULL;
	assert_null(query.end); /* one at a time */
	assert_int_equal(count, 4);
	assert_string_equal(values[0], "events");
	query = (MrQuery){.end = end, .owner = owner, .offsets = mr_strdup(values[2]), .count = 1};
	for (const char *c = query.offsets; *c != '\0'; c++)
		query.count += *c == ',';
	return &query;
}

void
mr_query_abandon(MrQuery *ended)
{
	ended->end = NULL;
	free(ended->offsets);
}

void
mr_pool_tick(MrPool *pool)
{
	(void) pool;
}

void
mr_pool_free(MrPool *pool)
{
	(void) pool;
}

void
turn(Fixture *f)
{
	event_base_loop(f->main, EVLOOP_NONBLOCK);
	for (int i = 0; i < THREADS; i++)
		if (f->threads[i] != NULL)
			event_base_loop(f->loops[i], EVLOOP_NONBLOCK);
}

void
turn_until_asked(Fixture *f)
{
	for (int64_t began = mr_now_ms(); query.end == NULL; turn(f))
		assert_true(mr_now_ms() - began < HANG_MS);
}

void
turn_for(Fixture *f, int64_t ms)
{
	for (int64_t began = mr_now_ms(); mr_now_ms() - began < ms;)
		turn(f);
}

void
answer(int from, int to)
{
	PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc columns[] = {{.name = (char[]){"nth"}}, {.name = (char[]){"pipelines"}}};
	MrQuery ended = query;
	const char *at = ended.offsets;
	int rows = 0;

	query.end = NULL;
	assert_true(PQsetResultAttrs(result, 2, columns));
	for (int nth = 1; nth <= ended.count; nth++)
	{
		int offset = (int) strtol(at + 1, (char **) &at, 10);
		char text[32];

		if (offset < from || offset > to)
			continue;
		snprintf(text, sizeof(text), "%d", nth);
		assert_true(PQsetvalue(result, rows, 0, text, (int) strlen(text)));
		snprintf(text, sizeof(text), "[%d]", offset);
		assert_true(PQsetvalue(result, rows++, 1, text, (int) strlen(text)));
	}
	ended.end(ended.owner, MR_QUERY_OK, result, NULL);
	free(ended.offsets);
	PQclear(result);
}

void
fail_query(MrQueryFailure failure)
{
	MrQuery ended = query;

	query.end = NULL;
	ended.end(ended.owner, failure, NULL, NULL);
	free(ended.offsets);
}

static void
on_end(void *owner, const char *pipelines)
{
	Client *client = owner;

	client->ends++;
	client->wait = NULL;
	client->is_late = pipelines == NULL;
	snprintf(client->pipelines, sizeof(client->pipelines), "%s", pipelines ? pipelines : "");
	if (client->leaves != NULL)
		mr_event_wait_abandon(client->leaves->wait);
}

bool
await(Fixture *f, int thread, int offset, int64_t ms, Client *client)
{
	MrCoordinate event = {.partition = "0"};

	snprintf(event.offset, sizeof(event.offset), "%d", offset);
	client->wait = mr_event_wait(f->threads[thread], &event, true, ms, on_end, client);
	return client->wait != NULL;
}

void
end_thread(Fixture *f, int thread)
{
	mr_event_waits_free(f->threads[thread]);
	f->threads[thread] = NULL;
}

int
set_up(void **state)
{
	Fixture *f = mr_calloc(1, sizeof(*f));
	MrPoolSetup setup = {0};

	mr_log_setup("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
	queries = 0;
	is_refused = false;
	setup.base = f->main = event_base_new();
	f->source = mr_event_wait_source_new(&setup, "events");
	for (int i = 0; i < THREADS; i++)
	{
		f->loops[i] = event_base_new();
		f->threads[i] = mr_event_waits_new(f->loops[i], f->source);
	}
	*state = f;
	return 0;
}

int
tear_down(void **state)
{
	Fixture *f = *state;

	for (int i = 0; i < THREADS; i++)
	{
		end_thread(f, i);
		event_base_free(f->loops[i]);
	}
	mr_event_wait_source_free(f->source);
	event_base_free(f->main);
	free(f);
	assert_null(query.end);
	return 0;
}
