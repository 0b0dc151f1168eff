/*
 * A scripted libpq: stands in for the real one at link level. A script is a list of queries that
 * must come, in order, each with its answer; the socket is a real one (a pair), so that the code
 * under test runs on its real event loop.
 */
#ifndef MR_TEST_FAKE_PQ_H
#define MR_TEST_FAKE_PQ_H

#include <libpq-fe.h>
#include <stdbool.h>

typedef enum FakeAnswer
{
	FAKE_ROW,         /* one row: columns and values; none without columns */
	FAKE_NULL,        /* one row, one null */
	FAKE_ERROR,       /* SQLSTATE in columns */
	FAKE_STAGE,       /* a row, then COPY IN, then "COPY n" */
	FAKE_STAGE_ERROR, /* a row, COPY IN, then an error when the copy ends */
	FAKE_CUT,         /* the connection breaks instead of an answer */
	FAKE_STAGE_CUT,   /* a row, COPY IN; the connection breaks when the copy ends */
	FAKE_STAGE_EARLY, /* a row, COPY IN, then an error while the data is still being sent: libpq reads it then, and the
					   * socket is not readable again when the copy ends */
	FAKE_SILENCE /* no answer, until fake_pq_answer() gives the one of FAKE_ROW */
} FakeAnswer;

typedef struct FakeStep
{
	const char *query; /* how it begins */
	FakeAnswer answer;
	const char *columns; /* separated by spaces; of an error its SQLSTATE */
	const char
		*values; /* separated by spaces; "-" is null; of an error the server's function, or "" */
} FakeStep;

typedef struct FakePq
{
	const FakeStep *steps;
	int count;
	int at;               /* steps done */
	int connections;      /* made */
	bool pooled;          /* pg_backend_pid() differs */
	bool refuse;          /* connections fail */
	const char *error;    /* what a lost or refused connection says; NULL: "the connection broke" */
	bool slow;            /* PQflush says "full" once after each put */
	bool no_memory;       /* the next put, or command of a pipeline, is not taken over */
	char parameters[512]; /* of the last query with parameters, separated by "|" */
	char copied[1 << 20]; /* COPY data of the last stage */
	size_t copied_len;
	int cancels;    /* asked for */
	int held;       /* each stays under way until it is 0 again */
	int answers;    /* by fake_pq_answer() */
	int groups;     /* of a pipeline, sent: Syncs */
	bool late_sync; /* Syncs are kept back, as silence is */
	int blocked;    /* in pipeline mode: how often PQflush still says that the socket is full */
} FakePq;

extern FakePq fake_pq;
extern void fake_pq_script(const FakeStep *steps, int count);
/* The answer that FAKE_SILENCE has kept back, on the newest connection; in pipeline mode the first that is kept back. */
extern void fake_pq_answer(void);

#endif
