#include "api/request/body.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "api/request/gzip.h"

typedef enum Coding
{
	CODING_NONE,
	CODING_GZIP,
	CODING_OTHER
} Coding;

static Coding coding_of(const MrExchange *exchange);
static Coding coding_named(const char *name);
static bool has_room(void *owner, size_t bytes);
static void refuse(MrExchange *exchange, MrGunzip outcome);
static bool replace(MrExchange *exchange, MrBuffer *body);
static void free_body(const void *data, size_t len, void *extra);

bool
mr_body_decode(MrExchange *exchange)
{
	MrBuffer plain = {0};
	MrGunzip outcome;
	Coding coding;
	size_t len;
	const char *body = mr_exchange_body(exchange, &len);

	coding = len > 0 ? coding_of(exchange) : CODING_NONE;
	if (coding == CODING_NONE)
		return true;
	if (coding == CODING_OTHER)
	{
		/* RFC 9110, section 15.5.16: the answer says what is taken */
		mr_exchange_set_header(exchange, "Accept-Encoding", "gzip");
		mr_exchange_refuse(exchange, MR_PROBLEM_CONTENT_CODING, NULL, NULL);
		return false;
	}
	outcome = mr_gunzip(&plain, body, len, exchange->setup->body_max, has_room, exchange);
	if (outcome == MR_GUNZIP_OK && !replace(exchange, &plain))
		outcome = MR_GUNZIP_NO_ROOM;
	if (outcome != MR_GUNZIP_OK)
		refuse(exchange, outcome);
	mr_buffer_free(&plain);
	return outcome == MR_GUNZIP_OK;
}

/* One coding alone is taken: two of them, in one field or in several, make a bomb of what each of them may be. */
static Coding
coding_of(const MrExchange *exchange)
{
	const char *value = mr_exchange_header(exchange, "Content-Encoding");

	if (value == NULL)
		return CODING_NONE;
	return mr_exchange_header_count(exchange, "Content-Encoding") == 1 ? coding_named(value)
																	   : CODING_OTHER;
}

/* x-gzip is an old name of it (RFC 9110, section 8.4.1.3). */
static Coding
coding_named(const char *name)
{
	if (*name == '\0' || strcasecmp(name, "identity") == 0)
		return CODING_NONE;
	return strcasecmp(name, "gzip") == 0 || strcasecmp(name, "x-gzip") == 0 ? CODING_GZIP
																			: CODING_OTHER;
}

static bool
has_room(void *owner, size_t bytes)
{
	const MrExchange *exchange = owner;

	return mr_connection_has_room(exchange->connection, bytes);
}

static void
refuse(MrExchange *exchange, MrGunzip outcome)
{
	char detail[100];

	switch (outcome)
	{
		case MR_GUNZIP_LARGE:
			snprintf(detail, sizeof(detail), "Decompressed it has more than %zu bytes.",
					 exchange->setup->body_max);
			mr_exchange_refuse(exchange, MR_PROBLEM_BODY_LARGE, detail, NULL);
			break;
		case MR_GUNZIP_NO_ROOM:
			mr_exchange_refuse(exchange, MR_PROBLEM_BUSY, "Too much is being received and sent.",
							   NULL);
			break;
		default:
			mr_exchange_refuse(exchange, MR_PROBLEM_CODED_BODY,
							   outcome == MR_GUNZIP_SHORT ? "It ends too early." : NULL, NULL);
	}
}

/* Takes the body over. False: there is no memory for it, and an empty body would be another request. */
static bool
replace(MrExchange *exchange, MrBuffer *body)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(exchange->http);

	evbuffer_drain(input, evbuffer_get_length(input));
	if (body->len == 0)
		return true;
	if (evbuffer_add_reference(input, body->data, body->len, free_body, NULL) != 0)
		return false;
	mr_connection_hold_decoded(exchange->connection, body->len);
	*body = (MrBuffer){0};
	return true;
}

static void
free_body(const void *data, size_t len, void *extra)
{
	(void) len;
	(void) extra;
	free((void *) data);
}
