#include "api/request/access.h"

#include <stdio.h>

#include "api/request/cors.h"
#include "api/request/exchange.h"
#include "api/request/host.h"

static void refuse_for(MrExchange *exchange, MrProblem problem, int64_t wait_ms);
static void refuse_scope(MrExchange *exchange, unsigned scope);

bool
mr_access_identify(MrExchange *exchange, const MrAccess *access)
{
	const MrKeys *keys = atomic_load(access->keys);
	const char *authorization = mr_exchange_header(exchange, "Authorization");

	if (keys != NULL && authorization != NULL)
	{
		const MrKey *key = mr_keys_find(keys, authorization);
		int64_t wait_ms;

		exchange->key = key;
		if (key != NULL)
			return true;
		wait_ms = mr_wrong_keys_take(exchange->setup->edge->wrong_keys, exchange->client,
									 exchange->began_us);
		if (wait_ms > 0)
		{
			refuse_for(exchange, MR_PROBLEM_WRONG_KEYS, wait_ms);
			return false;
		}
		mr_exchange_set_header(exchange, "WWW-Authenticate",
							   "Bearer realm=\"millrace\", error=\"invalid_token\"");
		mr_exchange_refuse(exchange, MR_PROBLEM_KEY, "The key is not one of this service.", NULL);
		return false;
	}
	/* a service that does nothing without a key does not ask by which name it was found */
	if (access->anonymous == 0 ||
		mr_host_is_allowed(mr_exchange_header(exchange, "Host"), access->hosts))
		return true;
	mr_exchange_refuse(exchange, MR_PROBLEM_MISDIRECTED, "The Host is none of this service.", NULL);
	return false;
}

bool
mr_access_allow(MrExchange *exchange, const MrAccess *access, unsigned scope, bool changes)
{
	const MrKey *key = exchange->key;

	if (key != NULL && (key->scopes & scope) == scope)
		return true;
	if (key != NULL || (atomic_load(access->keys) == NULL && (access->anonymous & scope) != scope))
		refuse_scope(exchange, scope);
	else if ((access->anonymous & scope) != scope)
	{
		mr_exchange_set_header(exchange, "WWW-Authenticate", "Bearer realm=\"millrace\"");
		mr_exchange_refuse(exchange, MR_PROBLEM_KEY, "The request has no key.", NULL);
	}
	else if (changes &&
			 !mr_cors_is_named(mr_exchange_header(exchange, "Origin"),
							   exchange->setup->edge->origins) &&
			 !mr_is_same_site(mr_exchange_header(exchange, "Origin"),
							  mr_exchange_header(exchange, "Sec-Fetch-Site"), access->hosts))
		mr_exchange_refuse(exchange, MR_PROBLEM_CROSS_SITE, NULL, NULL);
	else
		return true;
	return false;
}

bool
mr_access_is_within_rate(MrExchange *exchange)
{
	const MrExchangeSetup *setup = exchange->setup;
	char client[MR_KEY_NAME_MAX + 8];
	int64_t wait_ms;

	if (setup->edge->limiter == NULL || setup->routes[exchange->match.route].scope == 0)
		return true;
	if (exchange->key != NULL)
		snprintf(client, sizeof(client), "key %s", exchange->key->name);
	wait_ms =
		mr_limiter_take(setup->edge->limiter, exchange->key != NULL ? client : exchange->client,
						exchange->began_us);
	if (wait_ms > 0)
		refuse_for(exchange, MR_PROBLEM_RATE, wait_ms);
	return wait_ms == 0;
}

static void
refuse_for(MrExchange *exchange, MrProblem problem, int64_t wait_ms)
{
	char seconds[24];

	snprintf(seconds, sizeof(seconds), "%lld", (long long) (wait_ms + 999) / 1000);
	mr_exchange_set_header(exchange, "Retry-After", seconds);
	mr_exchange_refuse(exchange, problem, NULL, NULL);
}

static void
refuse_scope(MrExchange *exchange, unsigned scope)
{
	char challenge[120];
	char detail[120];

	if (exchange->key == NULL)
	{
		mr_exchange_refuse(exchange, MR_PROBLEM_SCOPE, "The service has no keys.",
						   "Start millrace-api with --keys, or, for whoever can reach it, with "
						   "--anonymous read,publish,operate.");
		return;
	}
	snprintf(challenge, sizeof(challenge),
			 "Bearer realm=\"millrace\", error=\"insufficient_scope\", scope=\"%s\"",
			 mr_scope_name(scope));
	snprintf(detail, sizeof(detail), "Key %s does not have the scope %s.", exchange->key->name,
			 mr_scope_name(scope));
	mr_exchange_set_header(exchange, "WWW-Authenticate", challenge);
	mr_exchange_refuse(exchange, MR_PROBLEM_SCOPE, detail, NULL);
}
