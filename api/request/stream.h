/*
 * Answers that go on: streams of server-sent events. What they have in common is here: the head of the answer, a comment
 * when nothing was sent for a while, the bound on what a client leaves unread, and the end when the service stops. A
 * client that reads too slowly is closed, and comes back by itself: nothing is kept for it beyond the bound.
 *
 * All of it belongs to one thread.
 */
#ifndef MR_API_STREAM_H
#define MR_API_STREAM_H

#include "api/control/shared_text.h"
#include "api/request/exchange.h"

typedef struct MrStream MrStream;

typedef struct MrStreamSetup
{
	MrSharedKeys *keys;
	int streams;          /* how many there may be */
	size_t unsent_bytes;  /* of one stream; an event may be larger when nothing else is unsent */
	int64_t heartbeat_ms; /* without anything sent */
} MrStreamSetup;

typedef struct MrStreamState
{
	int open;
	uint64_t begun;
	uint64_t slow;    /* closed because the client did not read */
	uint64_t revoked; /* closed because the key no longer holds */
} MrStreamState;

/* The stream is over: its client has left, or it was closed. It must not be used from here on. */
typedef void (*MrStreamEnded)(void *owner);

extern MrStreams *mr_streams_new(const MrStreamSetup *setup);
extern void mr_streams_state(const MrStreams *streams, MrStreamState *state);
/* Call it every 50 ms or so: heartbeats, and the end of those that are closed. */
extern void mr_streams_tick(MrStreams *streams, int64_t now_ms);
/* Ends all streams: they are complete, and their clients may connect elsewhere. */
extern void mr_streams_drain(MrStreams *streams);
/* After the exchanges. */
extern void mr_streams_free(MrStreams *streams);

/*
 * Begins the answer, with status 200. NULL: there is no stream, and the request is answered: with the head alone when
 * it is HEAD's, else with 503 because there are too many.
 */
extern MrStream *mr_stream_begin(MrExchange *exchange, MrStreamEnded ended, void *owner);
/* Sends events; the text is not copied. One that would exceed the bound closes the stream, at the next tick. */
extern void mr_stream_send(MrStream *stream, MrSharedText *text);
/* Nothing more is sent; the connection is closed at the next tick, without an end of the answer. */
extern void mr_stream_abort(MrStream *stream);
/* What has been sent, and not been taken by the client's side of the network. */
extern size_t mr_stream_unsent(const MrStream *stream);

#endif
