/*
 * pace.c: see pace.h.
 */
#include "pace.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* of the one that is behind */
static const char positions_sql[] =
	"SELECT p.partition, min(p.next_offset) FROM unnest(string_to_array($1, ',')) AS n (name) "
	"CROSS JOIN LATERAL millrace.positions(n.name) AS p GROUP BY p.partition";

struct Pace
{
	PGconn *connection;
	const char *pipelines;
};

Pace *
pace_open(const char *conninfo, const char *pipelines)
{
	Pace *pace = malloc(sizeof(*pace));

	if (pace == NULL)
		exit(1);
	pace->pipelines = pipelines;
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
	const char *arguments[] = {pace->pipelines};
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
