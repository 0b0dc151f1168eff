/*
 * event.c: see event.h. A sensor event of about 183 bytes: six fields that pipelines read, three that they
 * do not.
 */
#include "event.h"

#include <stdio.h>
#include <string.h>

/* Streams of random numbers that must not look like each other. */
enum
{
	STREAM_KIND = 1,
	STREAM_ID_HIGH,
	STREAM_ID_LOW,
	STREAM_BODY,
	STREAM_VALUE,
	STREAM_PAD,
	STREAM_HOT
};

static const struct
{
	const char *type;
	const char *unit;
	double low;
	double span;
} quantities[] = {
	{"temperature", "C", -20, 60}, {"humidity", "%", 0, 100}, {"pressure", "hPa", 950, 100},
	{"power", "W", 0, 4000},       {"door", "state", 0, 1},
};

#define QUANTITIES (sizeof(quantities) / sizeof(quantities[0]))

/* A number from (seed, stream, i): xor-shift-multiply rounds, good enough to have no visible pattern. */
static uint64_t
random_at(uint64_t seed, unsigned stream, uint64_t i)
{
	uint64_t x = i ^ (seed * UINT64_C(0xd1342543de82ef95)) ^ ((uint64_t) stream << 56);

	for (int round = 0; round < 3; round++)
	{
		x ^= x >> 32;
		x *= UINT64_C(0xe9846af9b1a615d5);
		x += stream;
	}
	return x ^ (x >> 28);
}

/* Of a draw: from 0 to 100, and less than p for p per cent of the events. */
static double
percent_of(uint64_t draw)
{
	return (double) (draw >> 11) * (100.0 / 9007199254740992.0);
}

EventKind
event_kind(const EventPlan *plan, uint64_t i)
{
	uint64_t draw = random_at(plan->seed, STREAM_KIND, i);
	double percent = percent_of(draw);

	if ((percent -= plan->broken_percent) < 0)
		return EVENT_CUT + (EventKind) (draw % 3);
	if ((percent -= plan->refused_percent) < 0)
		return EVENT_REFUSED;
	if ((percent -= plan->filtered_percent) < 0)
		return EVENT_HEARTBEAT;
	if ((percent -= plan->unknown_percent) < 0)
		return EVENT_UNKNOWN;
	if (percent < plan->tombstone_percent)
		return EVENT_TOMBSTONE;
	return EVENT_GOOD;
}

bool
event_aborted(const EventPlan *plan, uint64_t i)
{
	if (plan->transaction <= 0 || plan->abort_every <= 0)
		return false;
	return (long) (i / plan->transaction) % plan->abort_every == plan->abort_every - 1;
}

EventFate
event_fate(const EventPlan *plan, uint64_t i)
{
	if (event_aborted(plan, i))
		return FATE_ABORTED;
	switch (event_kind(plan, i))
	{
		case EVENT_GOOD:
			return FATE_ROW;
		case EVENT_HEARTBEAT:
			return FATE_FILTERED;
		case EVENT_TOMBSTONE:
			return FATE_TOMBSTONE;
		case EVENT_CUT:
		case EVENT_MISSING:
		case EVENT_WRONG_TYPE:
		case EVENT_REFUSED:
		case EVENT_UNKNOWN:
			return FATE_DEAD;
	}
	return FATE_DEAD;
}

const char *
event_fate_name(EventFate fate)
{
	static const char *const names[] = {"row", "filtered", "dead", "tombstone", "aborted"};

	return names[fate];
}

void
event_id(const EventPlan *plan, uint64_t i, char id[37])
{
	uint64_t high = random_at(plan->seed, STREAM_ID_HIGH, i);
	uint64_t low = random_at(plan->seed, STREAM_ID_LOW, i);

	snprintf(id, 37, "%08x-%04x-4%03x-%04x-%012llx", (unsigned) (high >> 32),
			 (unsigned) (high >> 16 & 0xffff), (unsigned) (high & 0xfff),
			 (unsigned) (low >> 48 & 0x3fff) | 0x8000,
			 (unsigned long long) (low & UINT64_C(0xffffffffffff)));
}

/* Appends ,"pad":"xxx…" of a random length. */
static unsigned
source_number(const EventPlan *plan, uint64_t i, uint64_t body)
{
	if (plan->hot_percent > 0 &&
		percent_of(random_at(plan->seed, STREAM_HOT, i)) < plan->hot_percent)
		return 1;
	return (unsigned) (body / 16 % EVENT_SOURCES) + 1;
}

static size_t
put_pad(const EventPlan *plan, uint64_t i, char *at)
{
	size_t length;

	if (plan->pad_bytes < 16)
		return 0;
	length = random_at(plan->seed, STREAM_PAD, i) % (plan->pad_bytes - 15);
	memcpy(at, ",\"pad\":\"", 8);
	memset(at + 8, 'a' + (int) (i % 26), length);
	at[8 + length] = '"';
	return length + 9;
}

static size_t
put_value(EventKind kind, unsigned quantity, uint64_t draw, char *at, size_t room)
{
	double fraction = (double) (draw % 10000) / 10000;
	double value = quantities[quantity].low + quantities[quantity].span * fraction;

	if (quantities[quantity].span == 1)
		value = (double) (draw & 1);
	switch (kind)
	{
		case EVENT_MISSING:
			return 0;
		case EVENT_WRONG_TYPE:
			return snprintf(at, room, ",\"value\":\"n/a-%02x\"", (unsigned) draw & 255);
		case EVENT_REFUSED:
			return snprintf(at, room, ",\"value\":%u", 1000000 + (unsigned) (draw % 1000000));
		case EVENT_GOOD:
		case EVENT_CUT:
		case EVENT_HEARTBEAT:
		case EVENT_UNKNOWN:
		case EVENT_TOMBSTONE:
			break;
	}
	return snprintf(at, room, ",\"value\":%.2f", value);
}

void
event_make(const EventPlan *plan, uint64_t i, char *buffer, Event *event)
{
	uint64_t body = random_at(plan->seed, STREAM_BODY, i);
	uint64_t draw = random_at(plan->seed, STREAM_VALUE, i);
	unsigned quantity = body % QUANTITIES;
	uint64_t ms = i * 7;
	size_t room = EVENT_BUFFER_BYTES(plan);
	size_t n;

	event->kind = event_kind(plan, i);
	event_id(plan, i, event->id);
	if (event->kind == EVENT_TOMBSTONE)
	{
		snprintf(event->key, sizeof(event->key), "%s", event->id);
		event->payload = NULL;
		event->length = 0;
		return;
	}
	snprintf(event->key, sizeof(event->key), "%s-%04u",
			 event->kind == EVENT_UNKNOWN ? "stranger" : "sensor", source_number(plan, i, body));
	n = snprintf(buffer, room,
				 "{\"id\":\"%s\",\"type\":\"%s\",\"source\":\"%s\","
				 "\"ts\":\"2026-03-%02uT%02u:%02u:%02u.%03uZ\"",
				 event->id,
				 event->kind == EVENT_HEARTBEAT ? "heartbeat" : quantities[quantity].type,
				 event->key, (unsigned) (ms / 86400000 % 28) + 1, (unsigned) (ms / 3600000 % 24),
				 (unsigned) (ms / 60000 % 60), (unsigned) (ms / 1000 % 60), (unsigned) (ms % 1000));
	n += put_value(event->kind, quantity, draw, buffer + n, room - n);
	n += snprintf(buffer + n, room - n,
				  ",\"unit\":\"%s\",\"fw\":\"2.%u.%u\",\"rssi\":-%u,\"battery\":%u.%02u",
				  quantities[quantity].unit, (unsigned) (draw >> 16) % 10,
				  (unsigned) (draw >> 24) % 20, 40 + (unsigned) (draw >> 32) % 50,
				  2 + (unsigned) (draw >> 40) % 2, (unsigned) (draw >> 44) % 100);
	n += put_pad(plan, i, buffer + n);
	if (event->kind != EVENT_CUT)
		buffer[n++] = '}';
	if (plan->key_digits > 0)
		snprintf(event->key, sizeof(event->key), "%.*s", plan->key_digits, event->id);
	event->payload = buffer;
	event->length = n;
}
