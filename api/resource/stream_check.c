#include "api/resource/stream_check.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "common/buffer.h"

typedef struct MrStreamStatement Statement;

/* It waits until it runs, and from then on nobody joins it: what it says of the present is not before anybody asked. */
struct MrStreamStatement
{
	MrStreamChecks *all;
	MrQuery *running; /* NULL: it waits, or it has ended */
	bool has_ended;
	TAILQ_HEAD(, MrStreamCheck) streams;
	TAILQ_ENTRY(MrStreamStatement) others;
};

struct MrStreamChecks
{
	MrPool *pool;
	int running;
	TAILQ_HEAD(, MrStreamStatement) waiting;
};

static Statement *find_waiting(MrStreamChecks *checks, const MrParams *params, const char *place);
static Statement *new_statement(MrStreamChecks *checks);
static void run_waiting(MrStreamChecks *checks);
static bool run(Statement *statement, MrQueryFailure *failure);
static void on_result(void *owner, MrQueryFailure failure, const PGresult *result,
					  const MrPgError *error);
static void end_all(Statement *statement, MrQueryFailure failure, const PGresult *result,
					const MrPgError *error);
static void end_first(Statement *statement, MrQueryFailure failure, const PGresult *result,
					  const MrPgError *error);
static void remove_stream(MrStreamCheck *check);

MrStreamChecks *
mr_stream_checks_new(MrPool *pool)
{
	MrStreamChecks *checks = mr_calloc(1, sizeof(*checks));

	checks->pool = pool;
	TAILQ_INIT(&checks->waiting);
	return checks;
}

void
mr_stream_checks_free(MrStreamChecks *checks)
{
	free(checks);
}

void
mr_stream_checks_tick(MrStreamChecks *checks)
{
	run_waiting(checks);
}

bool
mr_stream_check_ask(MrStreamChecks *checks, MrStreamCheck *check, const MrParams *params,
					const char *place, const MrEventQuery *query, MrQueryEnd end, void *owner,
					MrQueryFailure *failure)
{
	Statement *statement = find_waiting(checks, params, place);
	bool is_new = statement == NULL;

	if (is_new)
		statement = new_statement(checks);
	*check = (MrStreamCheck){.statement = statement,
							 .params = params,
							 .place = place,
							 .query = query,
							 .end = end,
							 .owner = owner};
	TAILQ_INSERT_TAIL(&statement->streams, check, others);
	if (!is_new)
		return true;
	if (checks->running >= MR_STREAM_CHECKS)
	{
		TAILQ_INSERT_TAIL(&checks->waiting, statement, others);
		return true;
	}
	if (run(statement, failure))
		return true;
	remove_stream(check);
	free(statement);
	return false;
}

void
mr_stream_check_forget(MrStreamCheck *check)
{
	Statement *statement = check->statement;
	MrStreamChecks *checks = statement->all;

	remove_stream(check);
	if (!TAILQ_EMPTY(&statement->streams) || statement->has_ended)
		return;
	if (statement->running != NULL)
	{
		mr_query_abandon(statement->running);
		checks->running--;
	}
	else
		TAILQ_REMOVE(&checks->waiting, statement, others);
	free(statement);
}

static Statement *
find_waiting(MrStreamChecks *checks, const MrParams *params, const char *place)
{
	Statement *statement;

	TAILQ_FOREACH (statement, &checks->waiting, others)
	{
		const MrStreamCheck *first = TAILQ_FIRST(&statement->streams);

		if (strcmp(first->place, place) == 0 && mr_params_equal(first->params, params))
			return statement;
	}
	return NULL;
}

static Statement *
new_statement(MrStreamChecks *checks)
{
	Statement *statement = mr_calloc(1, sizeof(*statement));

	statement->all = checks;
	TAILQ_INIT(&statement->streams);
	return statement;
}

static void
run_waiting(MrStreamChecks *checks)
{
	while (checks->running < MR_STREAM_CHECKS && !TAILQ_EMPTY(&checks->waiting))
	{
		Statement *statement = TAILQ_FIRST(&checks->waiting);
		MrQueryFailure failure;

		TAILQ_REMOVE(&checks->waiting, statement, others);
		if (!run(statement, &failure))
			end_all(statement, failure, NULL, NULL);
	}
}

/* The pool copies what it runs. */
static bool
run(Statement *statement, MrQueryFailure *failure)
{
	const MrEventQuery *query = TAILQ_FIRST(&statement->streams)->query;

	statement->running =
		mr_pool_query(statement->all->pool, NULL, query->sql.data, query->count,
					  (const char *const *) query->values, on_result, statement, failure);
	statement->all->running += statement->running != NULL;
	return statement->running != NULL;
}

static void
on_result(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	Statement *statement = owner;
	MrStreamChecks *checks = statement->all;

	checks->running--;
	end_all(statement, failure, result, error);
	run_waiting(checks);
}

/* What one stream is answered with may end others: they leave the list by themselves. */
static void
end_all(Statement *statement, MrQueryFailure failure, const PGresult *result,
		const MrPgError *error)
{
	statement->running = NULL;
	statement->has_ended = true;
	while (!TAILQ_EMPTY(&statement->streams))
		end_first(statement, failure, result, error);
	free(statement);
}

static void
end_first(Statement *statement, MrQueryFailure failure, const PGresult *result,
		  const MrPgError *error)
{
	MrStreamCheck *check = TAILQ_FIRST(&statement->streams);

	remove_stream(check);
	check->end(check->owner, failure, result, error);
}

static void
remove_stream(MrStreamCheck *check)
{
	TAILQ_REMOVE(&check->statement->streams, check, others);
	check->statement = NULL;
}
