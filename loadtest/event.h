/*
 * event.h: the events of the load tests, pure: event i depends only on (plan, i), so that a checker can
 * make every one again and say where it has to end.
 */
#ifndef LOADTEST_EVENT_H
#define LOADTEST_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_SOURCES 1000

/* What is wrong (or not) with an event. */
typedef enum EventKind
{
	EVENT_GOOD,
	EVENT_CUT,        /* JSON ends before its closing brace */
	EVENT_MISSING,    /* no "value" */
	EVENT_WRONG_TYPE, /* "value" is a word */
	EVENT_HEARTBEAT,  /* fine, and filtered by every pipeline */
	EVENT_REFUSED,    /* fine for the pipeline, refused by the target's check (value < 1000000) */
	EVENT_UNKNOWN,    /* a source no lookup table has */
	EVENT_TOMBSTONE   /* no payload; the id is the key */
} EventKind;

/* Where an event has to end. */
typedef enum EventFate
{
	FATE_ROW,
	FATE_FILTERED,
	FATE_DEAD,
	FATE_TOMBSTONE, /* up to the pipeline's choice */
	FATE_ABORTED    /* sent in a transaction that was rolled back: nowhere */
} EventFate;

typedef struct EventPlan
{
	uint64_t seed;
	double broken_percent; /* a third each cut, missing, wrong type */
	double refused_percent;
	double filtered_percent;
	double unknown_percent;
	double tombstone_percent;
	double hot_percent; /* have the key, and the source, of one sensor */
	int pad_bytes;      /* up to so many bytes more, for mixed sizes */
	int key_digits;     /* the message key is that many digits of the id; 0: the source */
	long transaction;   /* events of a transaction, 0 = none */
	long abort_every;   /* each so many-th transaction is rolled back, 0 = none */
} EventPlan;

typedef struct Event
{
	EventKind kind;
	char id[37];
	char key[48];
	char *payload; /* inside the caller's buffer; NULL = tombstone */
	size_t length;
} Event;

#define EVENT_BUFFER_BYTES(plan) ((size_t) 512 + (plan)->pad_bytes)

extern void event_make(const EventPlan *plan, uint64_t i, char *buffer, Event *event);
extern EventKind event_kind(const EventPlan *plan, uint64_t i);
extern EventFate event_fate(const EventPlan *plan, uint64_t i);
extern void event_id(const EventPlan *plan, uint64_t i, char id[37]);
extern bool event_aborted(const EventPlan *plan, uint64_t i);
extern const char *event_fate_name(EventFate fate);

#endif
