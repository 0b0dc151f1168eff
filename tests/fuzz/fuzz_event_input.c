/*
 * libFuzzer harness for the events of POST /events, in all forms: JSON, CloudEvents (binary, structured, batch), NDJSON, a
 * query. An input has the query, Content-Type and the ce- fields in lines of their own (empty: not sent), the body behind
 * them. What is to be published must be JSON that a strict reader takes, with the parts that every event has.
 */
#include <stdio.h>

#include "api/resource/event_input.h"
#include "api/wire/target.h"
#include "common/utf8.h"
#include "tests/fuzz/must.h"

/* The lines before the body */
enum
{
	QUERY,
	CONTENT_TYPE,
	FIRST_FIELD
};
static const char *const fields[] = {"ce-specversion", "ce-type", "ce-source", "ce-id", "ce-time"};
#define FIELD_COUNT ((int) (sizeof(fields) / sizeof(fields[0])))
#define LINE_COUNT  (FIRST_FIELD + FIELD_COUNT)

static bool passes_guard(char *const *lines);
static const char *header(void *owner, const char *name);
static void make_id(void *owner, int line, char uuid[MR_UUID_SIZE]);
static void check_items(const MrEventItems *items);
static void check_message(const MrMessage *message);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = text_of(data, len);
	char *at = text;
	char *lines[LINE_COUNT];
	MrParams params = {0};
	MrEventItems items;
	MrProblem problem = MR_PROBLEM_NONE;
	char detail[320] = "";
	const char *hint = NULL;
	int count = 0;

	for (char *end; count < LINE_COUNT && (end = strchr(at, '\n')) != NULL; at = end + 1)
	{
		*end = '\0';
		lines[count++] = at;
	}
	if (count == LINE_COUNT && passes_guard(lines) &&
		mr_params_parse(&params, lines[QUERY], detail, sizeof(detail)))
	{
		size_t body_len = len - (size_t) (at - text);
		char *body = malloc(body_len > 0 ? body_len : 1); /* of just its size, without a NUL */
		const MrEventInput input = {.params = &params,
									.content_type =
										*lines[CONTENT_TYPE] ? lines[CONTENT_TYPE] : NULL,
									.body = body,
									.body_len = body_len,
									.header = header,
									.make_id = make_id,
									.owner = lines};

		must(body != NULL);
		memcpy(body, at, body_len);
		if (mr_event_input_read(&items, &input, &problem, detail, sizeof(detail), &hint))
			check_items(&items);
		else
			must(problem != MR_PROBLEM_NONE && *detail != '\0' && strlen(detail) < sizeof(detail));
		mr_event_items_free(&items);
		free(body);
	}
	mr_params_free(&params);
	free(text);
	return 0;
}

/* The query and the fields as they reach a resource: wire/target.c and wire/head.c refuse the others. */
static bool
passes_guard(char *const *lines)
{
	char target[4096];
	const char *why;

	if (snprintf(target, sizeof(target), "/events?%s", lines[QUERY]) >= (int) sizeof(target) ||
		!mr_target_check(target, strlen(target), &why))
		return false;
	for (int i = CONTENT_TYPE; i < LINE_COUNT; i++)
		for (const char *c = lines[i]; *c != '\0'; c++)
			if (((unsigned char) *c < ' ' && *c != '\t') || *c == 0x7f)
				return false;
	return true;
}

static const char *
header(void *owner, const char *name)
{
	char *const *lines = owner;

	for (int i = 0; i < FIELD_COUNT; i++)
		if (strcmp(fields[i], name) == 0)
			return *lines[FIRST_FIELD + i] != '\0' ? lines[FIRST_FIELD + i] : NULL;
	return NULL;
}

static void
make_id(void *owner, int line, char uuid[MR_UUID_SIZE])
{
	(void) owner;
	snprintf(uuid, MR_UUID_SIZE, "made for %d", line);
}

static void
check_items(const MrEventItems *items)
{
	must(items->count <= MR_EVENTS_MAX && (items->is_batch || items->count == 1));
	for (int i = 0; i < items->count; i++)
		if (items->items[i].error[0] == '\0')
			check_message(&items->items[i].message);
		else
			must(mr_utf8_is_valid(items->items[i].error, strlen(items->items[i].error)));
}

static void
check_message(const MrMessage *message)
{
	static const char *const members[] = {"specversion", "id", "source", "type", "time"};
	json_t *event = json_loadb(message->payload.data, message->payload.len,
							   JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);

	must(json_is_object(event));
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		must(json_string_length(json_object_get(event, members[i])) > 0);
	must(message->key == NULL ||
		 (*message->key != '\0' && mr_utf8_is_valid(message->key, strlen(message->key))));
	json_decref(event);
}
