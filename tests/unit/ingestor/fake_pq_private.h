/* What fake_pq.c and fake_pq_pipeline.c share; nobody else includes it. */
#ifndef MR_TEST_FAKE_PQ_PRIVATE_H
#define MR_TEST_FAKE_PQ_PRIVATE_H

#include "fake_pq.h"

/* What a connection in pipeline mode does otherwise; the test that links no fake_pq_pipeline.c has none. */
typedef struct FakeMode
{
	int (*send)(PGconn *conn, const char *query);
	int (*consume)(PGconn *conn);
	int (*is_busy)(const PGconn *conn);
	PGresult *(*get_result)(PGconn *conn);
	int (*flush)(PGconn *conn);
} FakeMode;

struct pg_conn
{
	int fds[2];
	bool broken;
	bool copying;
	bool setup; /* the query under way is the session's setup */
	bool running;
	const FakeStep *step;
	int given; /* results of the query under way handed out */
	bool full;
	bool arrived;         /* an answer has been read since something was sent */
	const FakeMode *mode; /* NULL: one query at a time */
	struct FakePipeline *pipeline;
};

struct pg_result
{
	ExecStatusType status;
	const char *columns;
	const char *values;
};

extern PGresult *fake_pq_result(ExecStatusType status, const char *columns, const char *values);
extern void fake_pq_make_readable(PGconn *conn);
/* The next one of the script, which must begin so. */
extern const FakeStep *fake_pq_step(const char *query);

#endif
