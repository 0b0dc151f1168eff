#include "api/resource/dry_run_input.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "api/resource/body_refusal.h"

static bool check_names(const json_t *object, const MrBodyRefusal *refusal);
static bool check_text(const json_t *object, const char *name, const MrBodyRefusal *refusal);

bool
mr_dry_run_input_check(const char *body, size_t len, char *error, size_t error_size)
{
	const MrBodyRefusal refusal = {error, error_size};
	json_t *object;
	const json_t *samples;
	const json_t *staged;
	double number;
	bool ok;

	if (len == 0)
		return true;
	object = json_loadb(body, len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
	samples = json_object_get(object, "samples");
	staged = json_object_get(object, "staged");
	number = json_number_value(staged);
	if (!json_is_object(object))
		ok = mr_body_refuse(
			&refusal, "The body is not a JSON object, such as {\"samples\": [{\"type\": \"a\"}]}.");
	else if (!check_names(object, &refusal))
		ok = false;
	else if (samples != NULL && staged != NULL)
		ok = mr_body_refuse(&refusal, "samples and staged exclude each other.");
	else if (samples != NULL && (!json_is_array(samples) || json_array_size(samples) == 0 ||
								 json_array_size(samples) > MR_SAMPLES_MAX))
		ok = mr_body_refuse(&refusal, "samples is not an array of 1 to %d payloads.",
							MR_SAMPLES_MAX);
	else if (staged != NULL &&
			 !(number >= 1 && number <= MR_STAGED_MAX && number == (double) (int) number))
		ok = mr_body_refuse(&refusal, "staged is not a whole number from 1 to %d.", MR_STAGED_MAX);
	else
		ok = check_text(object, "key", &refusal) && check_text(object, "topic", &refusal) &&
			 check_text(object, "time", &refusal);
	json_decref(object);
	return ok;
}

/* What goes with samples is nothing without them: staged events have their own. */
static bool
check_names(const json_t *object, const MrBodyRefusal *refusal)
{
	static const char *const of_samples[] = {"samples", "key", "headers", "topic", "time"};
	bool has_samples = json_object_get(object, "samples") != NULL;
	const char *name;
	json_t *value;

	json_object_foreach((json_t *) object, name, value)
	{
		bool known = false;

		for (size_t i = 0; i < sizeof(of_samples) / sizeof(of_samples[0]); i++)
			known = known || strcmp(name, of_samples[i]) == 0;
		if (!known && strcmp(name, "staged") != 0)
			return mr_body_refuse(
				refusal,
				"There is no member \"%.64s\": expected samples, staged, key, headers, "
				"topic or time.",
				name);
		if (known && !has_samples)
			return mr_body_refuse(refusal, "\"%.64s\" is for samples, and there are none.", name);
	}
	return true;
}

static bool
check_text(const json_t *object, const char *name, const MrBodyRefusal *refusal)
{
	const json_t *value = json_object_get(object, name);

	return value == NULL || json_is_string(value) ||
		   mr_body_refuse_value(refusal, name, value, "a string");
}
