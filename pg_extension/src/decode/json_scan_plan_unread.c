/*
 * json_scan_plan_unread.c - the keys of a document that a plan leaves alone
 *
 * Plain C, no PostgreSQL. Not for the hot path: a document is scanned a second time, and only samples are.
 */
#include <string.h>

#include "decode/json_scan_plan.h"

typedef struct Walk
{
	const MrJsonPlan *plan;
	MrJsonReport report;
	void *argument;
	char path[MR_JSON_PATH_MAX * 2];
} Walk;

static void walk(Walk *w, int node_no, const MrJsonSlot *object, int length);
static int append_key(Walk *w, int length, const MrJsonSlot *key);
static bool is_plain(const char *key, int length);

void
mr_json_plan_unread(const MrJsonPlan *plan, const char *bytes, int length, MrJsonReport report,
					void *argument)
{
	Walk w = {.plan = plan, .report = report, .argument = argument};
	MrJsonSlot whole;
	MrJsonError error;

	if (plan->nodes[0].slot < 0 && mr_json_scan_whole(bytes, length, &whole, &error) &&
		whole.kind == MR_JSON_OBJECT)
		walk(&w, 0, &whole, 0);
}

/* Recursion as deep as the longest path wanted. */
static void
walk(Walk *w, int node_no, const MrJsonSlot *object, int length)
{
	MrJsonElements members;
	MrJsonSlot key;
	MrJsonSlot value;

	mr_json_elements(object, &members);
	while (mr_json_next_member(&members, &key, &value))
	{
		int child = mr_json_plan_find(w->plan, node_no, key.start, key.length,
									  (key.flags & MR_JSON_ESCAPED) != 0);
		int end = append_key(w, length, &key);

		if (end < 0)
			continue;
		if (child < 0)
			w->report(w->argument, w->path, &value);
		else if (w->plan->nodes[child].slot < 0 && w->plan->nodes[child].first_key >= 0 &&
				 value.kind == MR_JSON_OBJECT)
			walk(w, child, &value, end);
	}
}

/* Behind `length` bytes of the path; the new length, -1: it is too long. A key with escapes stays as it is written. */
static int
append_key(Walk *w, int length, const MrJsonSlot *key)
{
	char *p = w->path + length;
	bool plain = is_plain(key->start, key->length);

	if (length + key->length + 3 > MR_JSON_PATH_MAX)
		return -1;
	if (length > 0)
		*p++ = '.';
	if (!plain)
		*p++ = '"';
	memcpy(p, key->start, (size_t) key->length);
	p += key->length;
	if (!plain)
		*p++ = '"';
	*p = '\0';
	return (int) (p - w->path);
}

static bool
is_plain(const char *key, int length)
{
	for (int i = 0; i < length; i++)
		if (!((key[i] >= 'a' && key[i] <= 'z') || (key[i] >= 'A' && key[i] <= 'Z') ||
			  (key[i] >= '0' && key[i] <= '9') || key[i] == '_' || key[i] == '-' ||
			  (unsigned char) key[i] >= 0x80))
			return false;
	return length > 0;
}
