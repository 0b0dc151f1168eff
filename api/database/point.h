/*
 * A connection for reads of one row, in pipeline mode. What comes while a group of queries is under way, or in one turn of the event
 * loop, is the next group: the busier it is, the more queries share the cost of a message. Each ends alone, whatever its neighbours
 * do: those behind one that fails are sent again. None is cancelled, since that would hit another: what its client has left ends
 * for nobody. A row that is waited for holds up its group and those behind, until statement_timeout at most.
 */
#ifndef MR_API_POINT_H
#define MR_API_POINT_H

#include "api/database/session.h"

#define MR_POINT_MAX 32 /* queries that have not ended */

typedef struct MrPoint MrPoint;

typedef struct MrPointEvents
{
	/* The query has ended (it is the callee's now), for any reason. */
	void (*ended)(void *owner, MrQuery *query, MrQueryFailure failure, const PGresult *result,
				  const MrPgError *error);
	void (*ready)(void *owner); /* it is connected */
	/* silent: it was given up because the server did not answer. */
	void (*lost)(void *owner, const MrPgError *error, bool silent);
} MrPointEvents;

extern MrPoint *mr_point_new(const MrPoolSetup *setup, const MrPointEvents *events, void *owner);
/* How many more queries it takes: 0 while it is not connected. */
extern int mr_point_room(const MrPoint *point);
/* It has waited for an answer for so long that another one should be asked. */
extern bool mr_point_is_slow(const MrPoint *point);
extern bool mr_point_is_connected(const MrPoint *point);
/* Queries that have not ended. */
extern int mr_point_count(const MrPoint *point);
/* A query with a name; there is room. It is sent later. */
extern void mr_point_run(MrPoint *point, MrQuery *query);
/* The caller has it back, and may free it. */
extern void mr_point_forget(MrPoint *point, MrQuery *query);
extern void mr_point_tick(MrPoint *point, int64_t now_ms);
/* Connects again, if nothing is under way: the server may not know of it any more. */
extern void mr_point_renew(MrPoint *point);
extern void mr_point_free(MrPoint *point);

#endif
