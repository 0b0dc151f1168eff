/* One connection of a pool, and the query that it runs: a state machine over libpq's callbacks. */
#ifndef MR_API_SESSION_H
#define MR_API_SESSION_H

#include "api/database/pool.h"
#include "common/backoff.h"
#include "common/pgconn.h"

/*
 *   DOWN --(backoff is over)--> CONNECTING --(ready)--> SETTING --(done)--> IDLE
 *    ^                                                                  query |  ^ done
 *    |                                                                        v  |
 *    |                                       [PREPARING --(done)-->]        RUNNING --abandoned--> CANCELLING
 *    |                                                                                                 |
 *    |___________________________________(lost, from any state)      IDLE <--(ended, and cancel over)--'
 */
typedef enum MrSessionState
{
	MR_SESSION_DOWN,
	MR_SESSION_CONNECTING,
	MR_SESSION_SETTING,
	MR_SESSION_IDLE,
	MR_SESSION_RESETTING, /* as SETTING, of a connection that had been idle */
	MR_SESSION_PREPARING,
	MR_SESSION_RUNNING,
	MR_SESSION_CANCELLING
} MrSessionState;

struct MrQuery
{
	MrPool *pool;
	char *name;
	char *sql;
	int count;
	char **values;
	MrQueryEnd end;
	void *owner;
	int64_t began_ms;
	bool is_bare;              /* it runs, or has, without its text */
	struct MrSession *session; /* NULL: it waits, or is at a point */
	struct MrPoint *point;
	MrQuery *next;
};

typedef struct MrSession MrSession;

typedef struct MrSessionEvents
{
	void (*idle)(void *owner, MrSession *session);
	/* The query has ended (it is the callee's now), for any reason. */
	void (*ended)(void *owner, MrQuery *query, MrQueryFailure failure, const PGresult *result,
				  const MrPgError *error);
	/* silent: it was given up because the server did not answer. */
	void (*lost)(void *owner, MrSession *session, const MrPgError *error, bool silent);
} MrSessionEvents;

/* Of each connection of a pool, whichever way queries go through it. */
#define MR_SESSION_RETRY_MIN_MS     100
#define MR_SESSION_RETRY_MAX_MS     1000
#define MR_SESSION_ANSWER_MARGIN_MS 1000 /* the server's statement_timeout comes first */
#define MR_SESSION_STATEMENTS_MAX                                                                  \
	64 /* prepared on it; beyond that it is made again when it is idle */

#define MR_SESSION_REPEAT_MS 1000 /* a plan is made for a table of the size that it has */

#define MR_SESSION_SETTINGS_SIZE 240
/* What each session of a pool begins with. */
extern void mr_session_settings(char sql[MR_SESSION_SETTINGS_SIZE], const MrPoolSetup *setup);
/* Of a query whose statement gives none. */
extern const MrPgError mr_session_no_rows;
/* What an error of the server's means for its query. */
extern MrQueryFailure mr_session_failure_of(const char *sqlstate);
/* The error says that what is prepared does not fit any more, since a column's type was changed. */
extern bool mr_session_is_stale(const PGresult *error);

extern MrSession *mr_session_new(const MrPoolSetup *setup, const MrSessionEvents *events,
								 void *owner);
extern MrSessionState mr_session_state(const MrSession *session);
/* IDLE: the query is of the statement that came last, and may be run without its text. */
extern bool mr_session_repeats(const MrSession *session, const MrQuery *query);
/* IDLE only. */
extern void mr_session_run(MrSession *session, MrQuery *query);
/* Its query is given back to the caller and cancelled. */
extern void mr_session_abandon(MrSession *session);
/* IDLE: is closed and connected again. */
extern void mr_session_renew(MrSession *session);
extern void mr_session_tick(MrSession *session, int64_t now_ms);
extern void mr_session_free(MrSession *session);

#endif
