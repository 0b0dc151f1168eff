#include "api/resource/post_key.h"

#include <stdio.h>
#include <string.h>

#include "api/resource/post_wait.h"

#define FIELD "Idempotency-Key"

static void fingerprint(MrExchange *exchange, MrIdempotencyKey *key);
static void add_text(MrFingerprint *print, const char *text);

bool
mr_post_key_read(MrExchange *exchange, MrClaimKey *key, bool *has_key)
{
	const char *field = mr_exchange_header(exchange, FIELD);

	*has_key = field != NULL;
	if (field == NULL)
		return true;
	if (mr_exchange_header_count(exchange, FIELD) > 1 || !mr_idempotency_key_read(&key->key, field))
	{
		mr_exchange_refuse(exchange, MR_PROBLEM_FIELD, "The Idempotency-Key is not valid.",
						   "Send one, a random text of 1 to 255 visible ASCII characters, such as "
						   "\"8e03978e-40d5-43e8-bc93-6894a57f9324\".");
		return false;
	}
	snprintf(key->client, sizeof(key->client), "%s",
			 exchange->key != NULL ? exchange->key->name : "");
	fingerprint(exchange, &key->key);
	return true;
}

/* All that the events are made of: parameters, header fields that say what the body is, the body. */
static void
fingerprint(MrExchange *exchange, MrIdempotencyKey *key)
{
	static const char *const fields[] = {"Content-Type", "ce-specversion", "ce-type",
										 "ce-source",    "ce-id",          "ce-time"};
	MrFingerprint *print = mr_fingerprint_new();
	const char *body;
	size_t len;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		add_text(print, mr_exchange_header(exchange, fields[i]));
	for (int i = 0; i < exchange->params.count; i++)
	{
		if (mr_post_wait_is_own(exchange->params.items[i].name))
			continue;
		add_text(print, exchange->params.items[i].name);
		add_text(print, exchange->params.items[i].value);
	}
	body = mr_exchange_body(exchange, &len);
	mr_fingerprint_add(print, body, len);
	mr_fingerprint_end(print, key->fingerprint);
}

static void
add_text(MrFingerprint *print, const char *text)
{
	mr_fingerprint_add(print, text, text != NULL ? strlen(text) : 0);
}
