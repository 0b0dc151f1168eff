/*
 * format_envelope.c - the formats, and the envelopes of Kafka Connect and of Confluent's serializers. Plain C, no
 * PostgreSQL.
 */
#include "decode/format_envelope.h"

#include "common/staging_format.h"
#include "decode/format_cloudevents.h"
#include "decode/format_debezium.h"
#include "decode/format_parts.h"

#define PREFIX_BYTES 5 /* a zero byte and the schema's id */

static bool open_confluent(const char *bytes, int length, MrEnvelope *envelope,
						   MrEnvelopeProblem *problem);
static bool open_connect(MrOpener *opener, const char *bytes, int length, MrEnvelope *envelope,
						 MrEnvelopeProblem *problem);

MrOpener *
mr_opener_create(MrFormatKind kind, MrJsonAlloc alloc)
{
	MrOpener *opener = alloc(sizeof(MrOpener));

	opener->kind = kind;
	opener->plan = mr_json_plan_create(alloc);
	switch (kind)
	{
		case MR_FORMAT_CONFLUENT_JSON:
		case MR_FORMAT_NDJSON:
			break;
		case MR_FORMAT_CONNECT:
			mr_parts_want(opener, "schema");
			mr_parts_want(opener, "payload");
			break;
		case MR_FORMAT_DEBEZIUM:
			mr_debezium_want(opener);
			break;
		case MR_FORMAT_CLOUDEVENTS:
			for (int part = 0; part < MR_CE_PARTS; part++)
				mr_parts_want(opener, mr_cloudevent_part_name(part));
			break;
	}
	mr_json_plan_ready(opener->plan);
	return opener;
}

bool
mr_envelope_open(MrOpener *opener, const char *bytes, int length, const char *headers,
				 int headers_length, MrEnvelope *envelope, MrEnvelopeProblem *problem)
{
	*envelope = (MrEnvelope){0};
	*problem = (MrEnvelopeProblem){0};
	switch (opener->kind)
	{
		case MR_FORMAT_CONFLUENT_JSON:
			return open_confluent(bytes, length, envelope, problem);
		case MR_FORMAT_CONNECT:
			return open_connect(opener, bytes, length, envelope, problem);
		case MR_FORMAT_DEBEZIUM:
			return mr_debezium_open(opener, bytes, length, envelope, problem);
		case MR_FORMAT_CLOUDEVENTS:
			return mr_cloudevent_open(opener, bytes, length, headers, headers_length, envelope,
									  problem);
		case MR_FORMAT_NDJSON:
			envelope->document = bytes;
			envelope->length = length;
			return true;
	}
	return false; /* not reached */
}

static bool
open_confluent(const char *bytes, int length, MrEnvelope *envelope, MrEnvelopeProblem *problem)
{
	envelope->document = bytes;
	envelope->length = length;
	if (length == 0 || bytes[0] != '\0')
		return true;
	if (length < PREFIX_BYTES)
		return mr_parts_refuse(problem, MR_ENVELOPE_SHORT_PREFIX, -1);
	envelope->has_schema_id = true;
	envelope->schema_id = mr_get32(bytes + 1);
	envelope->document += PREFIX_BYTES;
	envelope->length -= PREFIX_BYTES;
	return true;
}

static bool
open_connect(MrOpener *opener, const char *bytes, int length, MrEnvelope *envelope,
			 MrEnvelopeProblem *problem)
{
	if (!mr_parts_scan(opener, bytes, length, envelope, problem))
		return false;
	if (envelope->parts[MR_CONNECT_PAYLOAD].kind == MR_JSON_MISSING)
		return mr_parts_refuse(problem, MR_ENVELOPE_NO_PAYLOAD, -1);
	mr_parts_take_document(envelope, MR_CONNECT_PAYLOAD);
	envelope->tombstone = envelope->absent;
	return true;
}
