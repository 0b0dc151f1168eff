/*
 * An event as it is published: a CloudEvents 1.0 document in JSON, whatever form it came in. Pure, but for the random id
 * and the time, which are parameters.
 */
#ifndef MR_API_MESSAGE_H
#define MR_API_MESSAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buffer.h"

#define MR_NAME_MAX  255 /* characters of type, source, id and key */
#define MR_UUID_SIZE 37

/* What an event may have; NULL: not given. */
typedef struct MrEventParts
{
	const char *type;
	const char *source;
	const char *id;
	const char *time; /* RFC 3339 */
	const char *key;  /* of the Kafka message; the source when not given */
	const char *text; /* data as a text */
	const char *json; /* data as the text of JSON; only one of the two */
	size_t json_len;
	const char *object; /* the text of a whole event: it is kept, and what is missing added */
	size_t object_len;
	bool type_is_other; /* the object names it eventType */
	bool has_version;   /* the object has specversion */
} MrEventParts;

typedef struct MrMessage
{
	MrBuffer payload;
	char *key; /* NULL: none */
} MrMessage;

/* version 4 from 16 random bytes, 8 from those of a digest (RFC 9562). */
extern void mr_uuid_format(char uuid[MR_UUID_SIZE], const unsigned char bytes[16], int version);
/*
 * Takes the parts out of the text of a JSON object: type or eventType, source, id, time, key; data and all other members
 * are left where they are. The parts point into `object`, which the caller frees by json_decref(), also on failure.
 */
extern bool mr_event_parts_of_json(MrEventParts *parts, const char *text, size_t len,
								   json_t **object, char *error, size_t error_size)
	__attribute__((warn_unused_result));
/* uuid and now_ms stand in for an id and a time that are not given. */
extern bool mr_message_build(MrMessage *message, const MrEventParts *parts, const char *uuid,
							 int64_t now_ms, char *error, size_t error_size)
	__attribute__((warn_unused_result));
extern void mr_message_free(MrMessage *message);

#endif
