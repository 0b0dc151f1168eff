/*
 * format_debezium.c - change events of Debezium, with and without a schema. Plain C, no PostgreSQL.
 *
 * From the documentation of Debezium's connectors (release 2): op is c (created), r (read, of a snapshot), u, d, t (the table
 * was truncated) or m (a message of pg_logical_emit_message(), which has a topic of its own).
 */
#include "decode/format_debezium.h"

#include <string.h>

#include "decode/format_parts.h"

/* What unavailable.value.placeholder is by default, and the same as bytes are written: base64. */
#define LEFT_OUT       "__debezium_unavailable_value"
#define LEFT_OUT_BYTES "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="

static bool is_string(const MrJsonSlot *slot, const char *text);

void
mr_debezium_want(MrOpener *opener)
{
	static const char *const keys[] = {"op", "before", "after", "source"};

	for (int i = 0; i < 4; i++)
		mr_parts_want(opener, keys[i]);
	mr_parts_want(opener, "schema");
	mr_parts_want(opener, "payload");
	for (int i = 0; i < 4; i++)
		mr_parts_want_inside(opener, "payload", keys[i]);
}

bool
mr_debezium_open(MrOpener *opener, const char *bytes, int length, MrEnvelope *envelope,
				 MrEnvelopeProblem *problem)
{
	MrJsonSlot *parts = envelope->parts;
	const MrJsonSlot *op = &parts[MR_DEBEZIUM_OP];
	int row;

	if (!mr_parts_scan(opener, bytes, length, envelope, problem))
		return false;
	if (op->kind == MR_JSON_MISSING && parts[MR_DEBEZIUM_PAYLOAD].kind == MR_JSON_NULL)
	{
		envelope->tombstone = envelope->absent = true;
		return true;
	}
	if (op->kind == MR_JSON_MISSING && parts[MR_DEBEZIUM_PAYLOAD].kind == MR_JSON_OBJECT)
		memcpy(parts, &parts[MR_DEBEZIUM_INNER], 4 * sizeof(MrJsonSlot));
	if (op->kind == MR_JSON_MISSING)
		return mr_parts_refuse(problem, MR_ENVELOPE_NO_OP, MR_DEBEZIUM_OP);
	problem->found = op->kind;
	if (is_string(op, "t"))
		return mr_parts_refuse(problem, MR_ENVELOPE_TRUNCATE, MR_DEBEZIUM_OP);
	if (!is_string(op, "c") && !is_string(op, "r") && !is_string(op, "u") && !is_string(op, "d"))
		return mr_parts_refuse(problem, MR_ENVELOPE_BAD_OP, MR_DEBEZIUM_OP);
	envelope->deletes = is_string(op, "d");
	row = envelope->deletes ? MR_DEBEZIUM_BEFORE : MR_DEBEZIUM_AFTER;
	problem->found = parts[row].kind;
	if (parts[row].kind != MR_JSON_OBJECT)
		return mr_parts_refuse(problem, MR_ENVELOPE_NO_ROW, row);
	mr_parts_take_document(envelope, row);
	return true;
}

bool
mr_debezium_is_left_out(const MrJsonSlot *value)
{
	MrJsonElements elements;
	MrJsonSlot only;
	MrJsonSlot second;

	if (value->kind == MR_JSON_STRING)
		return is_string(value, LEFT_OUT) || is_string(value, LEFT_OUT_BYTES);
	if (value->kind != MR_JSON_ARRAY || value->length > 100)
		return false;
	/* of an array: one that has nothing else */
	mr_json_elements(value, &elements);
	return mr_json_next(&elements, &only) && is_string(&only, LEFT_OUT) &&
		   !mr_json_next(&elements, &second);
}

static bool
is_string(const MrJsonSlot *slot, const char *text)
{
	return slot->kind == MR_JSON_STRING && (size_t) slot->length == strlen(text) &&
		   memcmp(slot->start, text, (size_t) slot->length) == 0;
}
