/*
 * pace.c: see pace.h.
 */
#include "pace.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char positions_sql[] = "SELECT partition, next_offset FROM millrace.positions($1)";

struct Pace
{
	PGconn *connection;
	const char *pipeline;
};

Pace *
pace_open(const char *conninfo, const char *pipeline)
{
	Pace *pace = malloc(sizeof(*pace));

	if (pace == NULL)
		exit(1);
	pace->pipeline = pipeline;
	pace->connection = PQconnectdb(conninfo);
	if (PQstatus(pace->connection) != CONNECTION_OK)
	{
		fputs(PQerrorMessage(pace->connection), stderr);
		exit(1);
	}
	return pace;
}

void
pace_positions(Pace *pace, int64_t positions[PACE_PARTITIONS])
{
	const char *arguments[] = {pace->pipeline};
	PGresult *result =
		PQexecParams(pace->connection, positions_sql, 1, NULL, arguments, NULL, NULL, 0);

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		fputs(PQerrorMessage(pace->connection), stderr);
		exit(1);
	}
	memset(positions, 0, sizeof(int64_t) * PACE_PARTITIONS);
	for (int row = 0; row < PQntuples(result); row++)
	{
		int partition = atoi(PQgetvalue(result, row, 0));

		if (partition >= 0 && partition < PACE_PARTITIONS)
			positions[partition] = strtoll(PQgetvalue(result, row, 1), NULL, 10);
	}
	PQclear(result);
}

void
pace_close(Pace *pace)
{
	PQfinish(pace->connection);
	free(pace);
}
