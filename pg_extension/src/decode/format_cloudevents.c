/*
 * format_cloudevents.c - CloudEvents 1.0 in Kafka messages, in both modes. Plain C, no PostgreSQL.
 *
 * The mode is chosen as the protocol binding says: by the header content-type. A message without one is binary when it has
 * the header ce_specversion, else structured, which many producers send without a content-type. From the specification:
 * "CloudEvents", "JSON Event Format" and "Kafka Protocol Binding", version 1.0.2.
 */
#include "decode/format_cloudevents.h"

#include <string.h>
#include <strings.h>

#include "common/staging_format.h"
#include "decode/format_parts.h"

#define HEADER_PREFIX "ce_"
#define STRUCTURED    "application/cloudevents"
#define JSON_SUFFIX   "+json"

static const char *const part_names[MR_CE_PARTS] = {
	"id",   "source",          "specversion", "type", "subject",
	"time", "datacontenttype", "dataschema",  "data", "data_base64"};

static void read_headers(const char *headers, int length, MrJsonSlot *attributes);
static MrEnvelopeCode choose_mode(const MrJsonSlot *attributes, bool *structured);
static bool check_attributes(MrEnvelope *envelope, MrEnvelopeProblem *problem);
static bool check_text(const MrJsonSlot *slot);
static bool take_data(MrEnvelope *envelope, MrEnvelopeProblem *problem);
static bool slot_begins(const MrJsonSlot *slot, const char *text);

const char *
mr_cloudevent_part_name(int part)
{
	return part_names[part];
}

bool
mr_cloudevent_open(MrOpener *opener, const char *bytes, int length, const char *headers,
				   int headers_length, MrEnvelope *envelope, MrEnvelopeProblem *problem)
{
	bool structured = false;
	MrEnvelopeCode code;

	read_headers(headers, headers_length, envelope->parts);
	code = choose_mode(envelope->parts, &structured);
	if (code != MR_ENVELOPE_FINE)
		return mr_parts_refuse(problem, code, MR_CE_DATACONTENTTYPE);
	if (!structured)
	{
		envelope->in_headers = true;
		envelope->document = bytes;
		envelope->length = length;
		envelope->absent = length == 0;
		return check_attributes(envelope, problem);
	}
	if (!mr_parts_scan(opener, bytes, length, envelope, problem))
		return false;
	if (envelope->parts[MR_CE_SPECVERSION].kind == MR_JSON_MISSING)
		return mr_parts_refuse(problem, MR_ENVELOPE_NOT_AN_EVENT, -1);
	return check_attributes(envelope, problem) && take_data(envelope, problem);
}

/*
 * The attributes that are headers, as strings without escapes; content-type is datacontenttype. Of a repeated name the last
 * counts. A null value, and what is broken off, is not there.
 */
static void
read_headers(const char *headers, int length, MrJsonSlot *attributes)
{
	MrHeaderReader reader = mr_headers_begin(headers, (size_t) length);
	MrHeader header;

	while (mr_headers_next(&reader, &header))
	{
		MrJsonSlot slot = {.kind = MR_JSON_STRING, .start = header.value};
		int part = -1;

		if (header.value_length < 0)
			continue;
		slot.length = header.value_length;
		if (header.name_length == 12 && strncasecmp(header.name, "content-type", 12) == 0)
			part = MR_CE_DATACONTENTTYPE;
		else if (header.name_length > 3 && memcmp(header.name, HEADER_PREFIX, 3) == 0)
			for (int i = 0; i < MR_CE_ATTRIBUTES && part < 0; i++)
				if (i != MR_CE_DATACONTENTTYPE &&
					strlen(part_names[i]) == (size_t) header.name_length - 3 &&
					memcmp(part_names[i], header.name + 3, (size_t) header.name_length - 3) == 0)
					part = i;
		if (part >= 0)
			attributes[part] = slot;
	}
}

static MrEnvelopeCode
choose_mode(const MrJsonSlot *attributes, bool *structured)
{
	const MrJsonSlot *type = &attributes[MR_CE_DATACONTENTTYPE];
	size_t family = strlen(STRUCTURED);
	MrJsonSlot rest;

	*structured = attributes[MR_CE_SPECVERSION].kind == MR_JSON_MISSING;
	if (!slot_begins(type, STRUCTURED))
		return MR_ENVELOPE_FINE;
	*structured = true;
	rest = *type;
	rest.start += family;
	rest.length -= (int32_t) family;
	if (rest.length == 0 || *rest.start == ';' || *rest.start == ' ' ||
		slot_begins(&rest, JSON_SUFFIX))
		return MR_ENVELOPE_FINE;
	return MR_ENVELOPE_OTHER_MODE;
}

/* Attributes are texts that are not empty; null, in the structured mode, is as if not there. */
static bool
check_attributes(MrEnvelope *envelope, MrEnvelopeProblem *problem)
{
	for (int i = 0; i < MR_CE_ATTRIBUTES; i++)
	{
		MrJsonSlot *slot = &envelope->parts[i];

		problem->found = slot->kind;
		if (slot->kind == MR_JSON_NULL)
			slot->kind = MR_JSON_MISSING;
		if (slot->kind == MR_JSON_MISSING || (slot->kind == MR_JSON_STRING && slot->length == 0))
		{
			if (i <= MR_CE_TYPE)
				return mr_parts_refuse(problem, MR_ENVELOPE_NO_ATTRIBUTE, i);
			slot->kind = MR_JSON_MISSING;
			continue;
		}
		if (slot->kind != MR_JSON_STRING || (slot->flags & MR_JSON_HAS_NUL) ||
			(envelope->in_headers && !check_text(slot)))
			return mr_parts_refuse(problem, MR_ENVELOPE_BAD_ATTRIBUTE, i);
	}
	if (!slot_begins(&envelope->parts[MR_CE_SPECVERSION], "1."))
		return mr_parts_refuse(problem, MR_ENVELOPE_OTHER_VERSION, MR_CE_SPECVERSION);
	return true;
}

/* Of a header: valid UTF-8 without NUL. That of a message has been validated with it. */
static bool
check_text(const MrJsonSlot *slot)
{
	const char *p = slot->start;
	const char *end = p + slot->length;

	while (p < end)
	{
		int length = *p == '\0' ? 0 : mr_json_utf8_length(p, end);

		if (length == 0)
			return false;
		p += length;
	}
	return true;
}

static bool
take_data(MrEnvelope *envelope, MrEnvelopeProblem *problem)
{
	const MrJsonSlot *base64 = &envelope->parts[MR_CE_DATA_BASE64];

	if (base64->kind <= MR_JSON_NULL)
	{
		mr_parts_take_document(envelope, MR_CE_DATA);
		return true;
	}
	if (envelope->parts[MR_CE_DATA].kind > MR_JSON_NULL)
		return mr_parts_refuse(problem, MR_ENVELOPE_DATA_TWICE, MR_CE_DATA_BASE64);
	problem->found = base64->kind;
	if (base64->kind != MR_JSON_STRING)
		return mr_parts_refuse(problem, MR_ENVELOPE_DATA_BASE64_WRONG, MR_CE_DATA_BASE64);
	return true;
}

/* In any case of letters. */
static bool
slot_begins(const MrJsonSlot *slot, const char *text)
{
	size_t length = strlen(text);

	return slot->kind == MR_JSON_STRING && (size_t) slot->length >= length &&
		   strncasecmp(slot->start, text, length) == 0;
}
