#include "api/resource/event_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/request/accept.h"
#include "api/resource/post_wait.h"
#include "common/utf8.h"

typedef struct Refusal
{
	MrProblem *problem;
	char *detail;
	size_t size;
	const char **hint;
} Refusal;

static const char *const names[] = {"eventType", "eventData", "source", "id",
									"time",      "key",       "wait",   "timeout"};
#define NAME_COUNT ((int) (sizeof(names) / sizeof(names[0])))

static bool refuse(const Refusal *refusal, MrProblem problem, const char *hint, const char *fmt,
				   ...) __attribute__((format(printf, 4, 5)));
static bool check_params(const MrEventInput *input, const Refusal *refusal);
static bool has_event(const MrParams *params);
static MrEventItem *new_item(MrEventItems *items, int line);
static void finish(MrEventItem *item, const MrEventInput *input, const MrEventParts *parts);
static void read_query(MrEventItems *items, const MrEventInput *input);
static void read_object(MrEventItems *items, const MrEventInput *input, int line, const char *text,
						size_t len);
static bool read_lines(MrEventItems *items, const MrEventInput *input, const Refusal *refusal);
static bool read_array(MrEventItems *items, const MrEventInput *input, const Refusal *refusal);
static bool is_empty_array(const char *at, const char *end);
static const char *skip_space(const char *at, const char *end);
static bool read_binary(MrEventItems *items, const MrEventInput *input, const Refusal *refusal);
static bool take_fields(const MrEventInput *input, char *decoded[4], const Refusal *refusal);

bool
mr_event_input_read(MrEventItems *items, const MrEventInput *input, MrProblem *problem,
					char *detail, size_t detail_size, const char **hint)
{
	const Refusal refusal = {problem, detail, detail_size, hint};
	const char *type = input->content_type;

	*items = (MrEventItems){0};
	if (!check_params(input, &refusal))
		return false;
	if (has_event(input->params))
	{
		if (input->body_len > 0)
			return refuse(&refusal, MR_PROBLEM_BODY, "Send the event in one of the two.",
						  "The request has an event in its query and a body.");
		read_query(items, input);
	}
	else if (input->header(input->owner, "ce-type") != NULL)
		return read_binary(items, input, &refusal);
	else if (input->body_len == 0 && type != NULL &&
			 input->header(input->owner, "Content-Length") == NULL)
		return refuse(&refusal, MR_PROBLEM_NO_LENGTH, NULL,
					  "The request has a Content-Type, and no event.");
	else if (input->body_len == 0 && !mr_media_type_is(type, "application/x-ndjson"))
		return refuse(&refusal, MR_PROBLEM_BODY,
					  "Send eventType and eventData in the query, or an event as the body.",
					  "The request has no event.");
	else if (mr_media_type_is(type, "application/json") ||
			 mr_media_type_is(type, "application/cloudevents+json"))
		read_object(items, input, 1, input->body, input->body_len);
	else if (mr_media_type_is(type, "application/x-ndjson"))
		return read_lines(items, input, &refusal);
	else if (mr_media_type_is(type, "application/cloudevents-batch+json"))
		return read_array(items, input, &refusal);
	else if (mr_media_type_is(type, "application/x-www-form-urlencoded"))
		return refuse(&refusal, MR_PROBLEM_MEDIA_TYPE,
					  "Send JSON with Content-Type: application/json.",
					  "The Content-Type is \"%.80s\", and the body is no form.", type);
	else
		return refuse(&refusal, MR_PROBLEM_MEDIA_TYPE, NULL, "The Content-Type is \"%.80s\".",
					  type != NULL ? type : "");
	return true;
}

void
mr_event_items_free(MrEventItems *items)
{
	for (int i = 0; i < items->count; i++)
		mr_message_free(&items->items[i].message);
	free(items->items);
	*items = (MrEventItems){0};
}

static bool
refuse(const Refusal *refusal, MrProblem problem, const char *hint, const char *fmt, ...)
{
	va_list args;

	*refusal->problem = problem;
	*refusal->hint = hint;
	va_start(args, fmt);
	vsnprintf(refusal->detail, refusal->size, fmt, args);
	va_end(args);
	return false;
}

static bool
check_params(const MrEventInput *input, const Refusal *refusal)
{
	for (int i = 0; i < input->params->count; i++)
	{
		const char *name = input->params->items[i].name;
		const char *nearest = mr_nearest_name(name, names, NAME_COUNT);
		bool known = false;

		for (int n = 0; n < NAME_COUNT; n++)
			known = known || strcmp(names[n], name) == 0;
		if (known)
			continue;
		if (nearest != NULL)
			return refuse(refusal, MR_PROBLEM_PARAMETER, NULL,
						  "There is no parameter \"%.64s\"; did you mean \"%s\"?", name, nearest);
		return refuse(refusal, MR_PROBLEM_PARAMETER,
					  "The parameters are eventType, eventData, source, id, time, key, wait and "
					  "timeout.",
					  "There is no parameter \"%.64s\".", name);
	}
	return true;
}

static bool
has_event(const MrParams *params)
{
	for (int i = 0; i < params->count; i++)
		if (!mr_post_wait_is_own(params->items[i].name))
			return true;
	return false;
}

static MrEventItem *
new_item(MrEventItems *items, int line)
{
	MrEventItem *item;

	/* doubles at 1, 2, 4, 8, … */
	if ((items->count & (items->count - 1)) == 0)
		items->items =
			mr_realloc(items->items,
					   sizeof(MrEventItem) * (size_t) (items->count > 0 ? 2 * items->count : 1));
	item = &items->items[items->count++];
	*item = (MrEventItem){.line = line};
	return item;
}

static void
finish(MrEventItem *item, const MrEventInput *input, const MrEventParts *parts)
{
	char uuid[MR_UUID_SIZE] = "";

	if (parts->id == NULL)
		input->make_id(input->owner, item->line, uuid);
	if (!mr_message_build(&item->message, parts, uuid, input->now_ms, item->error,
						  sizeof(item->error)) &&
		item->error[0] == '\0')
		snprintf(item->error, sizeof(item->error), "The event is not valid.");
}

static void
read_query(MrEventItems *items, const MrEventInput *input)
{
	const MrEventParts parts = {.type = mr_params_get(input->params, "eventType"),
								.text = mr_params_get(input->params, "eventData"),
								.source = mr_params_get(input->params, "source"),
								.id = mr_params_get(input->params, "id"),
								.time = mr_params_get(input->params, "time"),
								.key = mr_params_get(input->params, "key")};

	finish(new_item(items, 1), input, &parts);
}

static void
read_object(MrEventItems *items, const MrEventInput *input, int line, const char *text, size_t len)
{
	MrEventItem *item = new_item(items, line);
	MrEventParts parts;
	json_t *object;

	while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
		len--;
	if (mr_event_parts_of_json(&parts, text, len, &object, item->error, sizeof(item->error)))
		finish(item, input, &parts);
	json_decref(object);
}

/* Empty lines are passed over; without any other they are a batch of no event, as [] is one of CloudEvents. */
static bool
read_lines(MrEventItems *items, const MrEventInput *input, const Refusal *refusal)
{
	const char *at = input->body;
	const char *end = at + input->body_len;
	int line = 0;

	items->is_batch = true;
	while (at < end)
	{
		const char *newline = memchr(at, '\n', (size_t) (end - at));
		size_t len = (size_t) ((newline != NULL ? newline : end) - at);
		bool empty = true;

		line++;
		for (size_t i = 0; i < len && empty; i++)
			empty = strchr(" \t\r", at[i]) != NULL && at[i] != '\0';
		if (!empty && items->count == MR_EVENTS_MAX)
			return refuse(refusal, MR_PROBLEM_BODY_LARGE, NULL,
						  "The request has more than %d events.", MR_EVENTS_MAX);
		if (!empty)
			read_object(items, input, line, at, len);
		at += len + 1;
	}
	return true;
}

/* Each element is read by itself, so that its bytes are kept. */
static bool
read_array(MrEventItems *items, const MrEventInput *input, const Refusal *refusal)
{
	const char *end = input->body + input->body_len;
	const char *at = skip_space(input->body, end);
	char expected = '[';

	items->is_batch = true;
	if (is_empty_array(at, end))
		return true;
	while (at < end && *at == expected)
	{
		json_error_t found;
		json_t *element;

		at = skip_space(at + 1, end);
		element =
			json_loadb(at, (size_t) (end - at),
					   JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &found);
		if (element == NULL)
		{
			at = end; /* nothing is there, or no JSON */
			break;
		}
		json_decref(element);
		if (items->count == MR_EVENTS_MAX)
			return refuse(refusal, MR_PROBLEM_BODY_LARGE, NULL,
						  "The request has more than %d events.", MR_EVENTS_MAX);
		/* where libjansson has stopped */
		read_object(items, input, items->count + 1, at, (size_t) found.position);
		at = skip_space(at + found.position, end);
		expected = ',';
	}
	if (items->count > 0 && at < end && *at == ']' && skip_space(at + 1, end) == end)
		return true;
	return refuse(refusal, MR_PROBLEM_BODY, "Send an array of CloudEvents.",
				  "The body is not a JSON array of events.");
}

static bool
is_empty_array(const char *at, const char *end)
{
	if (at == end || *at != '[')
		return false;
	at = skip_space(at + 1, end);
	return at < end && *at == ']' && skip_space(at + 1, end) == end;
}

static const char *
skip_space(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
		at++;
	return at;
}

/* The attributes are header fields, the body is the data. */
static bool
read_binary(MrEventItems *items, const MrEventInput *input, const Refusal *refusal)
{
	const char *version = input->header(input->owner, "ce-specversion");
	bool is_json = mr_media_type_is(input->content_type, "application/json");
	MrEventParts parts = {0};
	char *decoded[4];
	char *text = NULL;
	json_t *data = NULL;
	bool ok;

	if (version == NULL)
		return refuse(refusal, MR_PROBLEM_BODY, "Send ce-specversion: 1.0.",
					  "The header field ce-specversion is missing.");
	if (strcmp(version, "1.0") != 0)
		return refuse(refusal, MR_PROBLEM_BODY, NULL, "ce-specversion is \"%.20s\", expected 1.0.",
					  version);
	ok = take_fields(input, decoded, refusal);
	parts.type = decoded[0];
	parts.source = decoded[1];
	parts.id = decoded[2];
	parts.time = decoded[3];
	if (ok && input->body_len > 0 && is_json)
	{
		parts.json = input->body;
		parts.json_len = input->body_len;
		data = json_loadb(input->body, input->body_len,
						  JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
		if (data == NULL)
			ok = refuse(refusal, MR_PROBLEM_BODY, "Send JSON, or text as text/plain.",
						"The data is not valid JSON.");
	}
	else if (ok && input->body_len > 0)
	{
		ok = mr_utf8_is_valid(input->body, input->body_len) &&
			 memchr(input->body, '\0', input->body_len) == NULL;
		if (!ok)
			refuse(refusal, MR_PROBLEM_BODY, "Send JSON or text.",
				   "The data is not text in UTF-8.");
		text = mr_malloc(input->body_len + 1);
		memcpy(text, input->body, input->body_len);
		text[input->body_len] = '\0';
		parts.text = text;
	}
	if (ok)
		finish(new_item(items, 1), input, &parts);
	json_decref(data);
	free(text);
	for (int i = 0; i < 4; i++)
		free(decoded[i]);
	return ok;
}

/* Values are percent-encoded, as the HTTP binding of CloudEvents, section 3.1.3.2, has it. decoded: NULL: not sent. */
static bool
take_fields(const MrEventInput *input, char *decoded[4], const Refusal *refusal)
{
	static const char *const fields[] = {"ce-type", "ce-source", "ce-id", "ce-time"};
	bool ok = true;

	for (int i = 0; i < 4; i++)
	{
		const char *value = input->header(input->owner, fields[i]);

		decoded[i] = value != NULL ? mr_percent_decode_unchecked(value, strlen(value)) : NULL;
		if (ok && value != NULL && decoded[i] == NULL)
			ok = refuse(refusal, MR_PROBLEM_BODY, "Write each byte of its UTF-8 as %XX.",
						"The header field %s is not percent-encoded text.", fields[i]);
	}
	return ok;
}
