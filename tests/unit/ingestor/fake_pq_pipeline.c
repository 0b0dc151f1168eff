/*
 * The scripted libpq in pipeline mode: commands are answered in the order they were sent, up to the first that the script
 * keeps back; after an error those up to the next Sync are aborted. As in libpq (34.5 of PostgreSQL's manual) the results of
 * each command end with NULL, and a Sync is a result of its own without one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_pq_private.h"

#define COMMANDS 512

typedef struct Command
{
	const FakeStep *step; /* NULL: a Sync */
	bool prepares;
	bool is_given; /* its result; NULL is what follows */
} Command;

struct FakePipeline
{
	Command commands[COMMANDS];
	int first;   /* not done */
	int sent;    /* taken over by libpq, */
	int flushed; /* given to the socket, */
	int arrived; /* answered: what the connection has read */
	int silences;
	bool aborts;
};

static int send_command(PGconn *conn, const char *query);
static int consume(PGconn *conn);
static int is_busy(const PGconn *conn);
static PGresult *get_result(PGconn *conn);
static int flush(PGconn *conn);

int
PQenterPipelineMode(PGconn *conn)
{
	static const FakeMode mode = {send_command, consume, is_busy, get_result, flush};

	assert_false(conn->running);
	conn->mode = &mode;
	conn->pipeline = calloc(1, sizeof(*conn->pipeline));
	return 1;
}

/* One behind each group of statements that are executed, which may be prepared before. */
int
PQpipelineSync(PGconn *conn)
{
	struct FakePipeline *line = conn->pipeline;
	int at = line->sent;

	assert_true(at > 0 && line->commands[at - 1].step != NULL && !line->commands[at - 1].prepares);
	assert_true(at < COMMANDS);
	line->commands[line->sent++] = (Command){0};
	fake_pq.groups++;
	return 1;
}

static int
send_command(PGconn *conn, const char *query)
{
	struct FakePipeline *line = conn->pipeline;

	if (fake_pq.no_memory)
	{
		fake_pq.no_memory = false;
		return 0;
	}
	assert_true(line->sent < COMMANDS);
	line->commands[line->sent++] =
		(Command){.step = fake_pq_step(query), .prepares = strncmp(query, "PREPARE", 7) == 0};
	return 1;
}

/* What is answered until the first that is kept back. A connection breaks when all before it is read. */
static int
consume(PGconn *conn)
{
	struct FakePipeline *line = conn->pipeline;

	while (line->arrived < line->flushed)
	{
		const FakeStep *step = line->commands[line->arrived].step;

		if (step != NULL && step->answer == FAKE_CUT)
		{
			conn->broken = line->first == line->arrived;
			if (!conn->broken)
				fake_pq_make_readable(conn);
			break;
		}
		if (step != NULL ? step->answer == FAKE_SILENCE : fake_pq.late_sync)
		{
			if (line->silences >= fake_pq.answers)
				break;
			line->silences++;
		}
		line->arrived++;
	}
	return !conn->broken;
}

static int
is_busy(const PGconn *conn)
{
	const struct FakePipeline *line = conn->pipeline;

	return line->first < line->sent && line->first >= line->arrived;
}

static PGresult *
get_result(PGconn *conn)
{
	struct FakePipeline *line = conn->pipeline;
	Command *command = &line->commands[line->first];

	if (line->first == line->sent)
		return NULL;
	assert_true(line->first < line->arrived);
	if (command->step == NULL)
	{
		line->aborts = false;
		line->first++;
		return fake_pq_result(PGRES_PIPELINE_SYNC, "", "");
	}
	if (command->is_given)
	{
		line->first++;
		return NULL;
	}
	command->is_given = true;
	if (line->aborts)
		return fake_pq_result(PGRES_PIPELINE_ABORTED, "", "");
	line->aborts = command->step->answer == FAKE_ERROR;
	return fake_pq_result(line->aborts        ? PGRES_FATAL_ERROR
						  : command->prepares ? PGRES_COMMAND_OK
											  : PGRES_TUPLES_OK,
						  command->step->columns, command->step->values);
}

static int
flush(PGconn *conn)
{
	struct FakePipeline *line = conn->pipeline;

	if (fake_pq.blocked > 0)
	{
		fake_pq.blocked--;
		return 1;
	}
	if (line->flushed < line->sent)
		fake_pq_make_readable(conn);
	line->flushed = line->sent;
	return 0;
}
