/*
 * Pipeline mode: statements are sent in groups, without waiting for those before. A Sync behind each group is where the server sends
 * what it has for it: one system call on either side instead of one for each statement.
 */
#include <assert.h>

#include "common/pgconn_private.h"

void
mr_pgconn_pipeline(MrPgconn *conn)
{
	assert(mr_pgconn_is_idle(conn));
	conn->pipelines = PQenterPipelineMode(conn->pg) == 1;
}

bool
mr_pgconn_pipe(MrPgconn *conn, const char *prepare, const char *name, int count,
			   const char *const *values)
{
	assert(conn->state == PGCONN_OPEN && conn->pipelines);
	if ((prepare == NULL || PQsendPrepare(conn->pg, name, prepare, 0, NULL)) &&
		PQsendQueryPrepared(conn->pg, name, count, values, NULL, NULL, 0))
		return true;
	mr_pgconn_begin(conn, false);
	return false;
}

void
mr_pgconn_sync(MrPgconn *conn)
{
	assert(conn->state == PGCONN_OPEN && conn->pipelines);
	conn->pipelined++;
	mr_pgconn_begin(conn, PQpipelineSync(conn->pg));
}
