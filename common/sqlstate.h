/*
 * What an SQLSTATE means to a client of the millrace schema: one table, so that decisions are
 * never made by the text of a message.
 */
#ifndef MR_COMMON_SQLSTATE_H
#define MR_COMMON_SQLSTATE_H

typedef enum MrSqlClass
{
	MR_SQL_FENCED,    /* MR001: an epoch is no longer the present one */
	MR_SQL_LANE_LOST, /* MR002: the server's incarnation or the lane's binding is another */
	MR_SQL_GONE,      /* the connection or the server is gone, or going */
	MR_SQL_BUSY,      /* out of a resource, timed out, deadlocked: the same may work later */
	MR_SQL_SETUP,     /* login, privilege or missing object: somebody has to fix it */
	MR_SQL_OTHER
} MrSqlClass;

/* state may be NULL or empty (no answer from a server): MR_SQL_GONE. */
extern MrSqlClass mr_sqlstate_class(const char *state);

#endif
