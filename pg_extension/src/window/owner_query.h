/*
 * owner_query.h: what a user wrote for a window, run as the owner of its pipeline, whoever's session it is.
 */
#ifndef MR_WINDOW_OWNER_QUERY_H
#define MR_WINDOW_OWNER_QUERY_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "tcop/dest.h"
#include "utils/snapshot.h"
#include "utils/tuplestore.h"

/* A query, and the relation that is there for it alone. */
typedef struct MrOwnerQuery
{
	int32 pipeline_id;
	const char *sql;       /* written for search_path = pg_catalog, pg_temp */
	const char *relation;  /* the name of the rows in it; not NULL */
	TupleDesc desc;        /* of the rows; NULL: there are none */
	Tuplestorestate *rows; /* besides */
	int nrows;
	Snapshot
		snapshot; /* what it sees; NULL: what is committed now, and the changes of its own transaction */
} MrOwnerQuery;

/*
 * Runs it in a restricted context, with the settings of the pipeline's definition, as batches are; its rows go to dest. Raises what the
 * query raises.
 */
extern void mr_owner_query_run(const MrOwnerQuery *query, DestReceiver *dest);

#endif /* MR_WINDOW_OWNER_QUERY_H */
