/*
 * observation.h: the weather of data/weather.csv.gz as events, one per station, hour and quantity.
 */
#ifndef LOADTEST_OBSERVATION_H
#define LOADTEST_OBSERVATION_H

#include <stdbool.h>
#include <stddef.h>

typedef enum Damage
{
	DAMAGE_NONE,
	DAMAGE_CUT,        /* JSON ends early */
	DAMAGE_WRONG_TYPE, /* value is a word */
	DAMAGE_MISSING,    /* no ts */
	DAMAGE_ENCODING,   /* a byte that is not UTF-8 */
	DAMAGE_STATION     /* a station that does not exist */
} Damage;

typedef struct Observation
{
	char key[32]; /* station/quantity */
	char json[256];
	size_t length;
	bool missing; /* the value is null */
	Damage damage;
} Observation;

typedef struct ObservationReader ObservationReader;

/* NULL and a message on stderr when the file cannot be read. */
extern ObservationReader *observation_open(const char *file);
/* false at the end */
extern bool observation_next(ObservationReader *reader, Observation *observation);
extern void observation_close(ObservationReader *reader);

#endif
