/* Pipeline mode: queries are sent without waiting for those before, each with a Sync of its own, so that one fails alone. */
#include <assert.h>

#include "common/pgconn_private.h"

void
mr_pgconn_pipeline(MrPgconn *conn)
{
	assert(mr_pgconn_is_idle(conn));
	conn->pipelines = PQenterPipelineMode(conn->pg) == 1;
}

void
mr_pgconn_pipe(MrPgconn *conn, const char *prepare, const char *name, int count,
			   const char *const *values)
{
	assert(conn->state == PGCONN_OPEN && conn->pipelines);
	conn->pipelined++;
	mr_pgconn_begin(conn, (prepare == NULL || PQsendPrepare(conn->pg, name, prepare, 0, NULL)) &&
							  PQsendQueryPrepared(conn->pg, name, count, values, NULL, NULL, 0) &&
							  PQpipelineSync(conn->pg));
}
