#include "api/resource/letter_verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/resource/body_refusal.h"
#include "common/utf8.h"

#define IDS_MAX 10000

static bool check_names(const json_t *object, MrLetterVerbKind kind, const MrBodyRefusal *refusal);
static bool take_text(const json_t *object, const char *name, const char **value,
					  const MrBodyRefusal *refusal);
static bool take_ids(MrLetterVerb *verb, const MrBodyRefusal *refusal);
static bool put_id(MrBuffer *out, const json_t *item);
static bool take_choice(MrLetterVerb *verb, MrLetterVerbKind kind, const MrBodyRefusal *refusal);
static void put_condition(MrLetterVerb *verb);

bool
mr_letter_verb_read(MrLetterVerb *verb, MrLetterVerbKind kind, const char *body, size_t len,
					char *error, size_t error_size)
{
	const MrBodyRefusal refusal = {error, error_size};
	json_error_t found;

	*verb = (MrLetterVerb){0};
	verb->object = json_loadb(body, len, JSON_REJECT_DUPLICATES, &found);
	if (!json_is_object(verb->object))
		return mr_body_refuse(&refusal,
							  "The body is not a JSON object, such as {\"pipeline\": \"events\", "
							  "\"ids\": [\"17\"], \"dry_run\": true}.");
	return check_names(verb->object, kind, &refusal) &&
		   take_text(verb->object, "pipeline", &verb->values[0], &refusal) &&
		   take_ids(verb, &refusal) &&
		   take_text(verb->object, "fingerprint", &verb->values[2], &refusal) &&
		   take_text(verb->object, "sqlstate", &verb->values[3], &refusal) &&
		   take_text(verb->object, kind == MR_LETTER_REPLAY ? "payload" : "reason",
					 &verb->values[5], &refusal) &&
		   take_choice(verb, kind, &refusal);
}

void
mr_letter_verb_free(MrLetterVerb *verb)
{
	json_decref(verb->object);
	mr_buffer_free(&verb->ids);
	mr_buffer_free(&verb->condition);
}

static bool
check_names(const json_t *object, MrLetterVerbKind kind, const MrBodyRefusal *refusal)
{
	static const char *const both[] = {"pipeline", "ids", "fingerprint",
									   "sqlstate", "all", "dry_run"};
	const char *name;
	json_t *value;

	json_object_foreach((json_t *) object, name, value)
	{
		bool known = kind == MR_LETTER_REPLAY
						 ? strcmp(name, "payload") == 0 || strcmp(name, "rate") == 0
						 : strcmp(name, "reason") == 0;

		for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++)
			known = known || strcmp(name, both[i]) == 0;
		if (!known)
			return mr_body_refuse(
				refusal,
				"There is no member \"%.64s\": expected pipeline, ids, fingerprint, sqlstate, all, "
				"dry_run%s.",
				name, kind == MR_LETTER_REPLAY ? ", payload or rate" : " or reason");
	}
	return true;
}

static bool
take_text(const json_t *object, const char *name, const char **value, const MrBodyRefusal *refusal)
{
	const json_t *found = json_object_get(object, name);

	if (found == NULL)
		return true;
	*value = json_string_value(found);
	return *value != NULL || mr_body_refuse_value(refusal, name, found, "a string");
}

/* As a PostgreSQL array of bigint. */
static bool
take_ids(MrLetterVerb *verb, const MrBodyRefusal *refusal)
{
	const json_t *ids = json_object_get(verb->object, "ids");
	size_t count = json_array_size(ids);

	if (ids == NULL)
		return true;
	if (!json_is_array(ids) || count == 0 || count > IDS_MAX)
		return mr_body_refuse(refusal, "ids is not an array of 1 to %d ids.", IDS_MAX);
	for (size_t i = 0; i < count; i++)
	{
		mr_buffer_append(&verb->ids, i > 0 ? "," : "{", 1);
		if (!put_id(&verb->ids, json_array_get(ids, i)))
			return mr_body_refuse(refusal,
								  "ids has an item that is no id: expected a string of digits.");
	}
	mr_buffer_append(&verb->ids, "}", 1);
	verb->values[1] = mr_buffer_string(&verb->ids);
	return true;
}

/* As they are shown: a string of digits. */
static bool
put_id(MrBuffer *out, const json_t *item)
{
	const char *text = json_string_value(item);

	if (text != NULL && *text != '\0' && strlen(text) <= 18 &&
		text[strspn(text, "0123456789")] == '\0')
		mr_buffer_printf(out, "%s", text);
	else
		return false;
	return true;
}

/* Which of the ways to choose letters it is: by ids, by what they have in common, or all. */
static bool
take_choice(MrLetterVerb *verb, MrLetterVerbKind kind, const MrBodyRefusal *refusal)
{
	const json_t *dry_run = json_object_get(verb->object, "dry_run");
	const json_t *all = json_object_get(verb->object, "all");
	const json_t *rate = json_object_get(verb->object, "rate");
	double number = json_number_value(rate); /* 5.0 is 5; 0 for what is none */
	bool filtered = verb->values[2] != NULL || verb->values[3] != NULL;
	int ways = (verb->values[1] != NULL) + filtered + json_is_true(all);

	if (verb->values[0] == NULL)
		return mr_body_refuse(refusal, "pipeline is missing.");
	if (dry_run != NULL && !json_is_boolean(dry_run))
		return mr_body_refuse_value(refusal, "dry_run", dry_run, "true or false");
	if (all != NULL && !json_is_true(all))
		return mr_body_refuse_value(refusal, "all", all, "true");
	if (rate != NULL && !(number >= 1 && number <= 1000000 && number == (double) (int) number))
		return mr_body_refuse_value(refusal, "rate", rate, "a whole number from 1 to 1000000");
	if (ways != 1)
		return mr_body_refuse(
			refusal, "Choose dead letters in one way: by ids, by fingerprint and sqlstate, "
					 "or by \"all\": true.");
	if (kind == MR_LETTER_REPLAY && verb->values[5] != NULL &&
		json_array_size(json_object_get(verb->object, "ids")) != 1)
		return mr_body_refuse(refusal, "A payload is for one dead letter: choose it by ids.");
	verb->values[4] = json_is_true(dry_run) ? "true" : "false";
	if (rate != NULL)
	{
		snprintf(verb->rate, sizeof(verb->rate), "%d", (int) number);
		verb->values[6] = verb->rate;
	}
	if (verb->values[1] == NULL)
		put_condition(verb);
	return true;
}

static void
put_condition(MrLetterVerb *verb)
{
	MrBuffer *out = &verb->condition;

	if (verb->values[2] != NULL)
		mr_buffer_printf(out, "fingerprint is %.*s", (int) mr_utf8_fit(verb->values[2], 100),
						 verb->values[2]);
	if (verb->values[3] != NULL)
		mr_buffer_printf(out, "%ssqlstate is %.*s", out->len > 0 ? ", " : "",
						 (int) mr_utf8_fit(verb->values[3], 20), verb->values[3]);
	if (out->len == 0)
		mr_buffer_printf(out, "all");
	mr_buffer_printf(out, " (HTTP API)");
	verb->values[7] = mr_buffer_string(out);
}
