/*
 * format_envelope.h - where a message has its JSON document, and what is around it
 *
 * Plain C without PostgreSQL, so that it can be unit-tested by itself. Opening a message finds, in one pass and without a
 * copy, the range of the document that fields are read from, and the parts of the envelope as slots of the scanner
 * (json_scan.h); all of them point into the message and its headers. A message that is no JSON where its format demands
 * JSON, or has not the form of its envelope, is a problem with a code; format.c has the words.
 *
 *   confluent-json  a zero byte, the schema's id (4 bytes, big-endian), the document. JSON cannot begin with a zero byte:
 *                   a message that begins with another is a document without a prefix, and has no schema id.
 *                   (Wire format of Confluent's serializers.)
 *   connect         {"schema": {...}, "payload": document}, as written by Kafka Connect's JsonConverter with
 *                   schemas.enable
 *   debezium        a change event: {"op": ..., "before": row, "after": row, "source": ...}, alone or as the payload of
 *                   connect's envelope; the document is the row after the change, of a delete that before it
 *   cloudevents     CloudEvents 1.0 in Kafka: structured (one JSON object, the document is its "data" or "data_base64"),
 *                   or binary (attributes are headers named ce_..., the message is the document)
 *   ndjson          the document is one of the message's, which was taken apart before (format_ndjson.h)
 */
#ifndef MR_FORMAT_ENVELOPE_H
#define MR_FORMAT_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "decode/json_scan.h"

typedef enum MrFormatKind
{
	MR_FORMAT_CONFLUENT_JSON,
	MR_FORMAT_CONNECT,
	MR_FORMAT_DEBEZIUM,
	MR_FORMAT_CLOUDEVENTS,
	MR_FORMAT_NDJSON
} MrFormatKind;

enum /* parts of connect */
{
	MR_CONNECT_SCHEMA,
	MR_CONNECT_PAYLOAD,
	MR_CONNECT_PARTS
};

enum /* parts of debezium; those of an event that is a payload are moved to the first four */
{
	MR_DEBEZIUM_OP,
	MR_DEBEZIUM_BEFORE,
	MR_DEBEZIUM_AFTER,
	MR_DEBEZIUM_SOURCE,
	MR_DEBEZIUM_SCHEMA,
	MR_DEBEZIUM_PAYLOAD,
	MR_DEBEZIUM_INNER, /* the first of four, in the same order */
	MR_DEBEZIUM_PARTS = MR_DEBEZIUM_INNER + 4
};

enum /* parts of cloudevents: attributes first */
{
	MR_CE_ID,
	MR_CE_SOURCE,
	MR_CE_SPECVERSION,
	MR_CE_TYPE,
	MR_CE_SUBJECT,
	MR_CE_TIME,
	MR_CE_DATACONTENTTYPE,
	MR_CE_DATASCHEMA,
	MR_CE_ATTRIBUTES,
	MR_CE_DATA = MR_CE_ATTRIBUTES,
	MR_CE_DATA_BASE64,
	MR_CE_PARTS
};

#define MR_ENVELOPE_PARTS 10 /* the most a format has */

typedef struct MrEnvelope
{
	const char *document;
	int length;
	bool absent;        /* there is no document, and length is 0: each field is missing */
	bool tombstone;     /* the envelope says so of its payload: null */
	bool deletes;       /* debezium: the document is a row that is no more */
	bool in_headers;    /* cloudevents: the binary mode */
	bool has_schema_id; /* confluent-json */
	uint32_t schema_id;
	int number; /* ndjson: of the document in its message, by who opens it; 0: not known */
	MrJsonSlot parts[MR_ENVELOPE_PARTS]; /* MR_JSON_MISSING: not there */
} MrEnvelope;

typedef enum MrEnvelopeCode
{
	MR_ENVELOPE_FINE,
	MR_ENVELOPE_NOT_JSON,     /* why and where: syntax */
	MR_ENVELOPE_NOT_OBJECT,   /* what it is: found */
	MR_ENVELOPE_SHORT_PREFIX, /* confluent-json: begins with a zero byte, shorter than the prefix */
	MR_ENVELOPE_NO_PAYLOAD,   /* connect: no key "payload" */
	MR_ENVELOPE_NO_OP,        /* debezium: no key "op", also in a payload */
	MR_ENVELOPE_BAD_OP,       /* debezium: another than c, r, u, d and t */
	MR_ENVELOPE_TRUNCATE,     /* debezium: op t */
	MR_ENVELOPE_NO_ROW,       /* debezium: part, which the op needs, is no object */
	MR_ENVELOPE_NOT_AN_EVENT, /* cloudevents: in neither mode */
	MR_ENVELOPE_OTHER_MODE,   /* cloudevents: a batch, or another event format than JSON */
	MR_ENVELOPE_NO_ATTRIBUTE, /* cloudevents: part is required and missing or empty */
	MR_ENVELOPE_BAD_ATTRIBUTE,    /* cloudevents: part is no string, or invalid UTF-8, or has NUL */
	MR_ENVELOPE_OTHER_VERSION,    /* cloudevents: specversion is not 1.x */
	MR_ENVELOPE_DATA_TWICE,       /* cloudevents: data and data_base64 */
	MR_ENVELOPE_DATA_BASE64_WRONG /* cloudevents: data_base64 is no string */
} MrEnvelopeCode;

typedef struct MrEnvelopeProblem
{
	MrEnvelopeCode code;
	MrJsonError syntax;
	MrJsonKind found;
	int part;
} MrEnvelopeProblem;

/* What opens the messages of a format; from it on in the allocator's memory. Serves one thread at a time. */
typedef struct MrOpener MrOpener;
extern MrOpener *mr_opener_create(MrFormatKind kind, MrJsonAlloc alloc);

/*
 * Opens a message: its bytes, and its packed headers (common/staging_format.h; NULL: none). False: *problem says why not.
 * With data_base64 the document is left out (length 0): it is for the caller to decode.
 */
extern bool mr_envelope_open(MrOpener *opener, const char *bytes, int length, const char *headers,
							 int headers_length, MrEnvelope *envelope, MrEnvelopeProblem *problem);

#endif
