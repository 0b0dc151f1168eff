#include "api/publish/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "api/control/json_text.h"
#include "common/utf8.h"

#define DEFAULT_SOURCE                                                                             \
	"/events" /* CloudEvents wants one: of events that say nothing, where they came in */

static bool take_text(const json_t *object, const char *name, const char **text, char *error,
					  size_t error_size);
static bool check_version(const json_t *object, char *error, size_t error_size);
static bool check_name(const char *what, const char *text, char *error, size_t error_size);
static bool is_time(const char *text);
static const char *skip_digits(const char *text, int count);
static void put_attributes(MrBuffer *out, const MrEventParts *parts, const char *uuid,
						   const char *now);
static void put_data(MrBuffer *out, const MrEventParts *parts);
static void format_time(char *text, size_t size, int64_t ms);

void
mr_uuid_format(char uuid[MR_UUID_SIZE], const unsigned char bytes[16], int version)
{
	static const char digits[] = "0123456789abcdef";
	char *out = uuid;

	for (int i = 0; i < 16; i++)
	{
		unsigned byte = bytes[i];

		if (i == 6)
			byte = (byte & 0x0f) | (unsigned) version << 4;
		else if (i == 8)
			byte = (byte & 0x3f) | 0x80;
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = digits[byte >> 4];
		*out++ = digits[byte & 15];
	}
	*out = '\0';
}

bool
mr_event_parts_of_json(MrEventParts *parts, const char *text, size_t len, json_t **object,
					   char *error, size_t error_size)
{
	json_error_t found;

	*parts = (MrEventParts){.object = text, .object_len = len};
	*object = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &found);
	if (*object == NULL)
		snprintf(error, error_size, "The event is not valid JSON, at byte %d: %.160s.",
				 found.position, found.text);
	else if (!json_is_object(*object))
		snprintf(error, error_size, "The event is not a JSON object.");
	else
	{
		parts->type_is_other = json_object_get(*object, "type") == NULL;
		parts->has_version = json_object_get(*object, "specversion") != NULL;
		return take_text(*object, parts->type_is_other ? "eventType" : "type", &parts->type, error,
						 error_size) &&
			   take_text(*object, "source", &parts->source, error, error_size) &&
			   take_text(*object, "id", &parts->id, error, error_size) &&
			   take_text(*object, "time", &parts->time, error, error_size) &&
			   take_text(*object, "key", &parts->key, error, error_size) &&
			   check_version(*object, error, error_size);
	}
	return false;
}

bool
mr_message_build(MrMessage *message, const MrEventParts *parts, const char *uuid, int64_t now_ms,
				 char *error, size_t error_size)
{
	MrBuffer *out = &message->payload;
	const char *key = parts->key != NULL ? parts->key : parts->source;
	char now[40];

	*message = (MrMessage){0};
	if (parts->type == NULL)
	{
		snprintf(error, error_size, "The event has no type.");
		return false;
	}
	if (!check_name("type", parts->type, error, error_size) ||
		!check_name("source", parts->source, error, error_size) ||
		!check_name("id", parts->id, error, error_size) ||
		!check_name("key", parts->key, error, error_size))
		return false;
	if (parts->time != NULL && !is_time(parts->time))
	{
		snprintf(error, error_size,
				 "time is \"%.40s\", expected one as 2026-01-31T12:00:00Z (RFC 3339).",
				 parts->time);
		return false;
	}
	if (parts->time == NULL)
		format_time(now, sizeof(now), now_ms);
	put_attributes(out, parts, uuid, now);
	put_data(out, parts);
	message->key = key != NULL ? mr_strdup(key) : NULL;
	return true;
}

void
mr_message_free(MrMessage *message)
{
	mr_buffer_free(&message->payload);
	free(message->key);
	message->key = NULL;
}

/* Absent is NULL; another type than string is an error. */
static bool
take_text(const json_t *object, const char *name, const char **text, char *error, size_t error_size)
{
	const json_t *value = json_object_get(object, name);

	if (value == NULL)
		return true;
	*text = json_string_value(value);
	if (*text == NULL)
		snprintf(error, error_size, "The event's %s is not a string.", name);
	return *text != NULL;
}

static bool
check_version(const json_t *object, char *error, size_t error_size)
{
	const json_t *version = json_object_get(object, "specversion");
	const char *text = json_string_value(version);

	if (json_object_get(object, "data_base64") != NULL)
	{
		snprintf(error, error_size,
				 "The event has data_base64: only text and JSON are taken, as data.");
		return false;
	}
	if (version == NULL || (text != NULL && strcmp(text, "1.0") == 0))
		return true;
	if (text != NULL)
		snprintf(error, error_size, "The event's specversion is \"%.*s\", expected \"1.0\".",
				 (int) mr_utf8_fit(text, 20), text);
	else
		snprintf(error, error_size, "The event's specversion is not the string \"1.0\".");
	return false;
}

static bool
check_name(const char *what, const char *text, char *error, size_t error_size)
{
	size_t characters = 0;

	if (text == NULL)
		return true;
	for (const char *c = text; *c != '\0'; c++)
		characters += ((unsigned char) *c & 0xc0) != 0x80; /* not a continuation of UTF-8 */
	if (characters > 0 && characters <= MR_NAME_MAX)
		return true;
	snprintf(error, error_size, "The event's %s is empty, or longer than %d characters.", what,
			 MR_NAME_MAX);
	return false;
}

/* Date and time of RFC 3339; that the day exists is left to PostgreSQL. */
static bool
is_time(const char *text)
{
	static const char pattern[] = "dddd-dd-ddTdd:dd:dd";

	for (const char *p = pattern; *p != '\0'; p++, text++)
		if (*p == 'd' ? *text < '0' || *text > '9' : *text != *p && !(*p == 'T' && *text == 't'))
			return false;
	if (*text == '.')
	{
		const char *end = text + 1;

		while (*end >= '0' && *end <= '9')
			end++;
		if (end == text + 1)
			return false;
		text = end;
	}
	if ((*text == 'Z' || *text == 'z') && text[1] == '\0')
		return true;
	if (*text != '+' && *text != '-')
		return false;
	text = skip_digits(text + 1, 2);
	if (text == NULL || *text != ':')
		return false;
	text = skip_digits(text + 1, 2);
	return text != NULL && *text == '\0';
}

static const char *
skip_digits(const char *text, int count)
{
	for (; count > 0; count--, text++)
		if (*text < '0' || *text > '9')
			return NULL;
	return text;
}

/* What a whole event has already is not written again. */
static void
put_attributes(MrBuffer *out, const MrEventParts *parts, const char *uuid, const char *now)
{
	bool whole = parts->object != NULL;

	mr_buffer_append(out, "{", 1);
	if (!whole || !parts->has_version)
		mr_json_member(out, "specversion", "1.0");
	if (!whole || parts->id == NULL)
		mr_json_member(out, "id", parts->id != NULL ? parts->id : uuid);
	if (!whole || parts->source == NULL)
		mr_json_member(out, "source", parts->source != NULL ? parts->source : DEFAULT_SOURCE);
	if (!whole || parts->type_is_other)
		mr_json_member(out, "type", parts->type);
	if (!whole || parts->time == NULL)
		mr_json_member(out, "time", parts->time != NULL ? parts->time : now);
}

static void
put_data(MrBuffer *out, const MrEventParts *parts)
{
	const char *rest;

	if (parts->object != NULL)
	{
		/* behind its brace; it has at least the type */
		rest = (const char *) memchr(parts->object, '{', parts->object_len) + 1;
		if (out->len > 1)
			mr_buffer_append(out, ",", 1);
		mr_buffer_append(out, rest, parts->object_len - (size_t) (rest - parts->object));
		return;
	}
	if (parts->text != NULL)
		mr_json_member(out, "data", parts->text);
	else if (parts->json != NULL)
	{
		mr_buffer_append(out, ",\"data\":", 8);
		mr_buffer_append(out, parts->json, parts->json_len);
	}
	mr_buffer_append(out, "}", 1);
}

static void
format_time(char *text, size_t size, int64_t ms)
{
	time_t seconds = (time_t) (ms / 1000);
	struct tm parts;
	char whole[24];

	gmtime_r(&seconds, &parts);
	strftime(whole, sizeof(whole), "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(text, size, "%s.%03dZ", whole, (int) (ms % 1000));
}
