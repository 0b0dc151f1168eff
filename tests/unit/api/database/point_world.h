/* What tests of points share: one of them over a scripted libpq, queries whose ends are noted, and the clock. */
#ifndef MR_TEST_POINT_WORLD_H
#define MR_TEST_POINT_WORLD_H

#include "../ingestor/fake_pq.h"
#include "api/database/point.h"

#define QUERY_MS 100
#define LATE_MS  (QUERY_MS + MR_SESSION_ANSWER_MARGIN_MS + 1)
#define STUCK_MS 501
#define SET                                                                                        \
	{                                                                                              \
		"SET statement_timeout", FAKE_ROW, "x", "1"                                                \
	}
#define COUNT(steps_) ((int) (sizeof(steps_) / sizeof((steps_)[0])))

typedef struct PointSeen
{
	MrQuery query; /* first: it is what the point knows of it */
	int ended;
	int nth; /* of all that have ended */
	MrQueryFailure failure;
	char value[64];
	char sqlstate[6];
	struct PointSeen *next; /* to run when this one ends, if there is room */
} PointSeen;

typedef struct PointWorld
{
	struct event_base *base;
	MrPoint *point;
	int64_t ahead_ms; /* of the real clock */
	int ended;
	int ready;
	int lost;
	bool was_silent;
} PointWorld;

extern PointWorld point_world;

/* All of the script must have come at the end, and nothing been cancelled: that would hit a neighbour. */
extern int point_setup(void **state);
extern int point_teardown(void **state);
/* Until it is connected. */
extern void point_begin(const FakeStep *steps, int count);
extern void point_run(PointSeen *seen, const char *name);
/* Sends them all before anything is answered. */
extern void point_run_all(PointSeen *seen, int count);
extern void point_turn(int ms);
extern void point_turn_until(const int *number, int is);
/* It is connected again, after the pause that a statement which is not what it was brings. */
extern void point_come_back(void);

#endif
