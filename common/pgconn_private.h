/* What pgconn.c and pgconn_pipeline.c share; nobody else includes it. */
#ifndef MR_COMMON_PGCONN_PRIVATE_H
#define MR_COMMON_PGCONN_PRIVATE_H

#include "common/pgconn.h"

typedef enum PgconnState
{
	PGCONN_CLOSED,
	PGCONN_CONNECTING, /* PQconnectPoll */
	PGCONN_SETUP,      /* the session's settings are under way */
	PGCONN_OPEN
} PgconnState;

struct MrPgconn
{
	struct event_base *base;
	char *dsn;
	char *application;
	const MrPgconnEvents *events;
	void *owner;

	PgconnState state;
	bool busy;      /* a query runs */
	bool copying;   /* COPY IN: data may be put */
	bool pipelines; /* it is in pipeline mode */
	int pipelined;  /* groups of it that have not ended */
	unsigned life;  /* counts connections, to notice that a callback closed ours */
	PGconn *pg;
	struct event *reading;
	struct event *writing;
	struct event *look;     /* libpq may hold an answer that the socket announced long ago */
	struct event *deadline; /* of connecting and setting up, then of the query's next answer */
	int64_t answer_timeout_ms;
};

#endif
