#include "api/request/stream.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "api/request/sse.h"
#include "common/eventloop.h"

#define RETRY_MS 2000

struct MrStream
{
	MrStreams *all;
	MrExchange *exchange;
	MrStreamEnded ended;
	void *owner;
	unsigned scope;   /* of its route */
	size_t head;      /* bytes that it began with */
	int64_t sent_ms;  /* when something was sent last */
	bool is_complete; /* its end has been sent */
	bool aborts;      /* nothing more is sent; the tick closes the connection */
	LIST_ENTRY(MrStream) others;
};

struct MrStreams
{
	MrStreamSetup setup;
	LIST_HEAD(, MrStream) list;
	MrStreamState state;
	MrSharedText *greeting;
	MrSharedText *heartbeat;
	const MrKeys *keys; /* that all streams have been compared with */
	bool drains;
};

static void close_revoked(MrStreams *streams);
static void on_over(void *work);

MrStreams *
mr_streams_new(const MrStreamSetup *setup)
{
	MrStreams *streams = mr_calloc(1, sizeof(*streams));
	MrBuffer text = {0};

	streams->setup = *setup;
	mr_sse_retry(&text, RETRY_MS);
	streams->greeting = mr_shared_text_new(&text);
	mr_sse_comment(&text);
	streams->heartbeat = mr_shared_text_new(&text);
	return streams;
}

void
mr_streams_state(const MrStreams *streams, MrStreamState *state)
{
	*state = streams->state;
}

void
mr_streams_tick(MrStreams *streams, int64_t now_ms)
{
	MrStream *stream;
	MrStream *next;

	close_revoked(streams);
	for (stream = LIST_FIRST(&streams->list); stream != NULL; stream = next)
	{
		next = LIST_NEXT(stream, others);
		if (stream->aborts)
			mr_connection_abort(stream->exchange->connection);
		else if (now_ms - stream->sent_ms >= streams->setup.heartbeat_ms)
			mr_stream_send(stream, streams->heartbeat);
	}
}

void
mr_streams_drain(MrStreams *streams)
{
	MrStream *stream;
	MrStream *next;

	streams->drains = true;
	for (stream = LIST_FIRST(&streams->list); stream != NULL; stream = next)
	{
		next = LIST_NEXT(stream, others);
		if (stream->aborts)
			continue;
		stream->is_complete = true;
		mr_exchange_end(stream->exchange);
	}
}

void
mr_streams_free(MrStreams *streams)
{
	if (streams == NULL)
		return;
	mr_shared_text_release(streams->greeting);
	mr_shared_text_release(streams->heartbeat);
	free(streams);
}

MrStream *
mr_stream_begin(MrExchange *exchange, MrStreamEnded ended, void *owner)
{
	MrStreams *streams = exchange->setup->streams;
	MrStream *stream;

	if (streams->state.open >= streams->setup.streams || streams->drains)
	{
		mr_exchange_refuse(exchange, MR_PROBLEM_BUSY, "There are too many streams.", NULL);
		return NULL;
	}
	/* no proxy may keep an event until it has more */
	mr_exchange_set_header(exchange, "Cache-Control", "no-store");
	mr_exchange_set_header(exchange, "X-Accel-Buffering", "no");
	if (!mr_exchange_begin(exchange, MR_SSE_TYPE, (int) streams->setup.unsent_bytes))
		return NULL;
	stream = mr_calloc(1, sizeof(*stream));
	stream->all = streams;
	stream->exchange = exchange;
	stream->ended = ended;
	stream->owner = owner;
	stream->scope = exchange->setup->routes[exchange->match.route].scope;
	LIST_INSERT_HEAD(&streams->list, stream, others);
	streams->state.open++;
	streams->state.begun++;
	exchange->work = stream;
	exchange->abandon = on_over;
	mr_stream_send(stream, streams->greeting);
	stream->head = mr_stream_unsent(stream);
	return stream;
}

void
mr_stream_send(MrStream *stream, MrSharedText *text)
{
	size_t unsent;

	if (stream->is_complete || stream->aborts)
		return;
	unsent = mr_stream_unsent(stream);
	/* the first event may come before what the stream begins with could be sent */
	if (unsent > stream->head &&
		(unsent + mr_shared_text_len(text) > stream->all->setup.unsent_bytes ||
		 !mr_connection_has_room(stream->exchange->connection, mr_shared_text_len(text))))
	{
		stream->aborts = true;
		stream->all->state.slow++;
		return;
	}
	mr_exchange_send(stream->exchange, text);
	stream->sent_ms = mr_now_ms();
}

void
mr_stream_abort(MrStream *stream)
{
	stream->aborts = !stream->is_complete;
}

size_t
mr_stream_unsent(const MrStream *stream)
{
	return mr_connection_unsent(stream->exchange->connection);
}

/* A key that is not in the latest list, or not with that scope, has no streams any more. */
static void
close_revoked(MrStreams *streams)
{
	const MrKeys *keys = atomic_load(streams->setup.keys);
	MrStream *stream;

	if (keys == streams->keys)
		return;
	streams->keys = keys;
	LIST_FOREACH (stream, &streams->list, others)
		if (stream->exchange->key != NULL &&
			!mr_keys_allow(keys, stream->exchange->key, stream->scope))
		{
			stream->aborts = true;
			streams->state.revoked++;
		}
}

static void
on_over(void *work)
{
	MrStream *stream = work;

	LIST_REMOVE(stream, others);
	stream->all->state.open--;
	stream->ended(stream->owner);
	free(stream);
}
