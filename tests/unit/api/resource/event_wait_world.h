/* What tests of events that are waited for share: threads, a pool that counts what it is asked, clients. */
#ifndef MR_TEST_EVENT_WAIT_WORLD_H
#define MR_TEST_EVENT_WAIT_WORLD_H

#include "api/resource/event_wait.h"

#define THREADS   3
#define HANG_MS   20000
#define FOREVER   (10 * HANG_MS)
#define STATEMENT 1000 /* events that one asks for at most */

/* Stands for the query that runs. */
struct MrQuery
{
	MrQueryEnd end;
	void *owner;
	char *offsets;
	int count;
};

typedef struct Client
{
	MrEventWait *wait;
	int ends;
	bool is_late;
	char pipelines[32];
	struct Client *leaves; /* when this one ends; NULL: none does */
} Client;

typedef struct Fixture
{
	struct event_base *main;
	struct event_base *loops[THREADS];
	MrEventWaitSource *source;
	MrEventWaits *threads[THREADS];
} Fixture;

extern MrQuery query;   /* that is at work; its end is NULL: none is */
extern int queries;     /* so many were asked */
extern bool is_refused; /* the pool takes none */

/* All loops, once. */
extern void turn(Fixture *f);
/* Until a question is at work. */
extern void turn_until_asked(Fixture *f);
extern void turn_for(Fixture *f, int64_t ms);
/* Those whose offsets are within the range are final. */
extern void answer(int from, int to);
extern void fail_query(MrQueryFailure failure);
/* Of a thread, for an event; false: refused. */
extern bool await(Fixture *f, int thread, int offset, int64_t ms, Client *client);
extern void end_thread(Fixture *f, int thread);
/* For cmocka: *state is the fixture. */
extern int set_up(void **state);
extern int tear_down(void **state);

#endif
