/*
 * pace.h: how far the pipelines of a topic have come, asked of their database, so that a producer does not outrun a broker
 * that keeps little.
 */
#ifndef LOADTEST_PACE_H
#define LOADTEST_PACE_H

#include <stdint.h>

#define PACE_PARTITIONS 128

typedef struct Pace Pace;

/* pipelines: their names, with commas between them. Ends the program when the database cannot be reached. */
extern Pace *pace_open(const char *conninfo, const char *pipelines);
/* Fills in the next offset each partition will read; 0 for those not known yet. */
extern void pace_positions(Pace *pace, int64_t positions[PACE_PARTITIONS]);
extern void pace_close(Pace *pace);

#endif
