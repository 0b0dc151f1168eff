#include "api/request/cors.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "api/request/exchange.h"

#define MAX_AGE "600" /* seconds that a browser may keep the answer to its question */

bool
mr_cors_is_origin(const char *text)
{
	const char *host = strstr(text, "://");

	if (strcmp(text, "*") == 0)
		return true;
	if (host == NULL || host == text || host[3] == '\0')
		return false;
	for (const char *at = text; at < host; at++)
		if (!isalnum((unsigned char) *at) && strchr("+-.", *at) == NULL)
			return false;
	return host[3 + strcspn(host + 3, "/?#@,* \t")] == '\0';
}

const char *
mr_cors_allowed(const char *origin, const MrStrings *origins)
{
	if (origin == NULL)
		return NULL;
	if (mr_cors_is_named(origin, origins))
		return origin;
	return mr_strings_has(origins, "*") ? "*" : NULL;
}

/* Browsers write scheme and host in small letters. */
bool
mr_cors_is_named(const char *origin, const MrStrings *origins)
{
	for (int i = 0; origin != NULL && i < origins->count; i++)
		if (strcasecmp(origins->items[i], origin) == 0 && strcmp(origin, "*") != 0)
			return true;
	return false;
}

void
mr_cors_put(MrExchange *exchange)
{
	const MrStrings *origins = exchange->setup->edge->origins;
	const char *allowed;

	if (origins->count == 0)
		return;
	/* also for a page that may not: what is cached for it is not for the others */
	mr_exchange_vary(exchange, "Origin");
	allowed = mr_cors_allowed(mr_exchange_header(exchange, "Origin"), origins);
	if (allowed == NULL)
		return;
	mr_exchange_set_header(exchange, "Access-Control-Allow-Origin", allowed);
	mr_exchange_set_header(
		exchange, "Access-Control-Expose-Headers",
		"Accept-Encoding, Allow, Content-Range, ETag, Idempotency-Replayed, Link, Location, "
		"Preference-Applied, "
		"Retry-After, WWW-Authenticate, traceparent");
}

/* The answer to the request itself says the rest; keys are not asked for here, since browsers send none. */
bool
mr_cors_preflight(MrExchange *exchange)
{
	MrBuffer methods = {0};
	MrBuffer nothing = {0};

	if (evhttp_request_get_command(exchange->http) != EVHTTP_REQ_OPTIONS ||
		exchange->match.methods == 0 ||
		mr_exchange_header(exchange, "Access-Control-Request-Method") == NULL ||
		mr_cors_allowed(mr_exchange_header(exchange, "Origin"), exchange->setup->edge->origins) ==
			NULL)
		return false;
	mr_route_allow(&methods, exchange->match.methods);
	mr_exchange_set_header(exchange, "Access-Control-Allow-Methods", mr_buffer_string(&methods));
	mr_exchange_set_header(
		exchange, "Access-Control-Allow-Headers",
		"Authorization, Content-Encoding, Content-Type, Idempotency-Key, If-None-Match, "
		"Last-Event-ID, Prefer, traceparent, tracestate, ce-specversion, "
		"ce-type, ce-source, ce-id, ce-time");
	mr_exchange_set_header(exchange, "Access-Control-Max-Age", MAX_AGE);
	mr_buffer_free(&methods);
	mr_exchange_answer(exchange, 204, NULL, &nothing);
	return true;
}
