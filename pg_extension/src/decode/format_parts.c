/*
 * format_parts.c - see format_parts.h. Plain C, no PostgreSQL.
 */
#include "decode/format_parts.h"

#include <string.h>

void
mr_parts_want(MrOpener *opener, const char *key)
{
	int node = mr_json_plan_key(opener->plan, 0, key, (int) strlen(key));

	(void) mr_json_plan_take(opener->plan, node);
}

void
mr_parts_want_inside(MrOpener *opener, const char *outer, const char *key)
{
	int node = mr_json_plan_key(opener->plan, 0, outer, (int) strlen(outer));

	node = mr_json_plan_key(opener->plan, node, key, (int) strlen(key));
	(void) mr_json_plan_take(opener->plan, node);
}

bool
mr_parts_scan(MrOpener *opener, const char *bytes, int length, MrEnvelope *envelope,
			  MrEnvelopeProblem *problem)
{
	MrJsonSlot whole;

	if (!mr_json_scan(opener->plan, bytes, length, envelope->parts, &problem->syntax))
		return mr_parts_refuse(problem, MR_ENVELOPE_NOT_JSON, -1);
	for (int i = 0; i < length; i++)
		if ((unsigned char) bytes[i] > ' ')
		{
			if (bytes[i] == '{')
				return true;
			break;
		}
	(void) mr_json_scan_whole(bytes, length, &whole, &problem->syntax);
	problem->found = whole.kind;
	return mr_parts_refuse(problem, MR_ENVELOPE_NOT_OBJECT, -1);
}

void
mr_parts_take_document(MrEnvelope *envelope, int part)
{
	const MrJsonSlot *slot = &envelope->parts[part];
	int quote = slot->kind == MR_JSON_STRING ? 1 : 0;

	envelope->absent = slot->kind <= MR_JSON_NULL;
	if (envelope->absent)
		return;
	envelope->document = slot->start - quote;
	envelope->length = slot->length + 2 * quote;
}

bool
mr_parts_refuse(MrEnvelopeProblem *problem, MrEnvelopeCode code, int part)
{
	problem->code = code;
	problem->part = part;
	return false;
}
