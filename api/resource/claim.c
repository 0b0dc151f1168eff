#include "api/resource/claim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/buffer.h"
#include "common/log.h"

/* The claim, the record, and each may wait for a connection as long as it may run. */
#define QUERIES         4
#define LEASE_MARGIN_MS 5000
#define OPEN_MAX        1000 /* as many queries as may wait: what ends a claim has room */

struct MrClaims
{
	MrPool *pool;
	char *topic;
	char lease[32];
	LIST_HEAD(, MrClaim) open;
	int count;
	MrClaimCounts counts; /* but `open` */
};

struct MrClaim
{
	MrClaims *claims;
	MrClaimKey key;
	const MrClaimEvents *events;
	void *owner;
	MrQuery *running;
	char slot[8];
	char id[MR_UUID_SIZE]; /* of the claim */
	LIST_ENTRY(MrClaim) others;
};

static void on_asked(void *owner, MrQueryFailure failure, const PGresult *result,
					 const MrPgError *error);
static void read_answer(MrClaimAnswer *answer, const PGresult *result);
static void on_ended(void *owner, MrQueryFailure failure, const PGresult *result,
					 const MrPgError *error);
static void say_unrecorded(const MrClaim *claim, const char *why);
static void put_hex(char *text, const unsigned char *bytes, size_t len);
static void remove_claim(MrClaim *claim);

MrClaims *
mr_claims_new(const MrPoolSetup *pool, const char *topic, int64_t publish_ms)
{
	MrClaims *claims = mr_calloc(1, sizeof(*claims));

	claims->pool = mr_pool_new(pool);
	claims->topic = mr_strdup(topic);
	snprintf(claims->lease, sizeof(claims->lease), "%" PRId64 " ms",
			 publish_ms + QUERIES * pool->query_ms + LEASE_MARGIN_MS);
	return claims;
}

const MrPool *
mr_claims_pool(const MrClaims *claims)
{
	return claims->pool;
}

void
mr_claims_tick(MrClaims *claims)
{
	mr_pool_tick(claims->pool);
}

bool
mr_claims_can_ask(const MrClaims *claims)
{
	return mr_pool_is_connected(claims->pool);
}

bool
mr_claims_are_in_trouble(const MrClaims *claims)
{
	return mr_pool_is_in_trouble(claims->pool);
}

int
mr_claims_open(const MrClaims *claims)
{
	return claims->count;
}

void
mr_claims_counts(const MrClaims *claims, MrClaimCounts *counts)
{
	*counts = claims->counts;
	counts->open = claims->count;
}

void
mr_claims_free(MrClaims *claims)
{
	if (claims == NULL)
		return;
	for (MrClaim *claim = LIST_FIRST(&claims->open); claim != NULL;
		 claim = LIST_FIRST(&claims->open))
	{
		LIST_REMOVE(claim, others);
		if (claim->running != NULL)
			mr_query_abandon(claim->running);
		claim->events->given_up(claim->owner);
		free(claim);
	}
	mr_pool_free(claims->pool);
	free(claims->topic);
	free(claims);
}

MrClaim *
mr_claim_ask(MrClaims *claims, const MrClaimKey *key, const MrClaimEvents *events, void *owner,
			 MrQueryFailure *failure)
{
	static const char sql[] = "SELECT outcome, slot, claim, location, body, lease_expired FROM "
							  "millrace.claim_idempotency_key($1, $2, $3, $4::bytea, $5::interval)";
	char fingerprint[2 * MR_FINGERPRINT_SIZE + 3] = "\\x";
	const char *values[] = {claims->topic, key->client, key->key.text, fingerprint, claims->lease};
	MrClaim *claim;

	if (claims->count >= OPEN_MAX)
	{
		claims->counts.outcomes[MR_CLAIM_FAILED]++;
		*failure = MR_QUERY_BUSY;
		return NULL;
	}
	claim = mr_calloc(1, sizeof(*claim));
	put_hex(fingerprint + 2, key->key.fingerprint, MR_FINGERPRINT_SIZE);
	claim->claims = claims;
	claim->key = *key;
	claim->events = events;
	claim->owner = owner;
	LIST_INSERT_HEAD(&claims->open, claim, others);
	claims->count++;
	claim->running = mr_pool_query(claims->pool, "claim_idempotency_key", sql, 5, values, on_asked,
								   claim, failure);
	if (claim->running != NULL)
		return claim;
	claims->counts.outcomes[MR_CLAIM_FAILED]++;
	remove_claim(claim);
	return NULL;
}

void
mr_claim_end(MrClaim *claim, int status, const char *location, const char *body)
{
	static const char sql[] = "SELECT millrace.end_idempotency_claim($1::smallint, $2, $3, $4, "
							  "$5::uuid, $6::smallint, $7, $8)";
	MrClaims *claims = claim->claims;
	char number[16];
	const char *values[] = {claim->slot,       claims->topic,
							claim->key.client, claim->key.key.text,
							claim->id,         status != 0 ? number : NULL,
							location,          body};
	MrQueryFailure failure;

	snprintf(number, sizeof(number), "%d", status);
	claim->running = mr_pool_query(claims->pool, "end_idempotency_claim", sql, 8, values, on_ended,
								   claim, &failure);
	if (claim->running == NULL)
		on_ended(claim, failure, NULL, NULL);
}

static void
on_asked(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	MrClaim *claim = owner;
	MrClaimAnswer answer = {.outcome = MR_CLAIM_FAILED, .failure = failure, .error = error};
	const MrClaimEvents *events = claim->events;

	claim->running = NULL;
	owner = claim->owner;
	if (failure == MR_QUERY_OK && PQntuples(result) == 1)
		read_answer(&answer, result);
	claim->claims->counts.outcomes[answer.outcome]++;
	if (answer.outcome == MR_CLAIM_MINE)
	{
		claim->claims->counts.expired += *PQgetvalue(result, 0, 5) == 't';
		snprintf(claim->slot, sizeof(claim->slot), "%s", PQgetvalue(result, 0, 1));
		snprintf(claim->id, sizeof(claim->id), "%s", PQgetvalue(result, 0, 2));
	}
	else
		remove_claim(claim);
	events->asked(owner, &answer);
}

static void
read_answer(MrClaimAnswer *answer, const PGresult *result)
{
	static const struct
	{
		const char *name;
		MrClaimOutcome outcome;
	} outcomes[] = {{"claimed", MR_CLAIM_MINE},
					{"answered", MR_CLAIM_ANSWERED},
					{"in_flight", MR_CLAIM_IN_FLIGHT},
					{"other_body", MR_CLAIM_OTHER_BODY}};

	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
		if (strcmp(PQgetvalue(result, 0, 0), outcomes[i].name) == 0)
			answer->outcome = outcomes[i].outcome;
	answer->location = PQgetisnull(result, 0, 3) ? NULL : PQgetvalue(result, 0, 3);
	answer->body = PQgetvalue(result, 0, 4);
}

/* What is not recorded may be published again; the id that it derives from the key is the same. */
static void
on_ended(void *owner, MrQueryFailure failure, const PGresult *result, const MrPgError *error)
{
	MrClaim *claim = owner;
	const MrClaimEvents *events = claim->events;

	owner = claim->owner;
	if (failure != MR_QUERY_OK)
		say_unrecorded(claim, error != NULL ? error->message : "no connection to PostgreSQL");
	else if (*PQgetvalue(result, 0, 0) != 't')
		say_unrecorded(claim, "its lease had ended, and another request has the key");
	remove_claim(claim);
	events->ended(owner);
}

static void
say_unrecorded(const MrClaim *claim, const char *why)
{
	claim->claims->counts.unrecorded++;
	mr_log(MR_LOG_WARN, "the answer to a request with an Idempotency-Key is not recorded",
		   MR_STR("client", claim->key.client), MR_STR("error", why));
}

static void
put_hex(char *text, const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

static void
remove_claim(MrClaim *claim)
{
	LIST_REMOVE(claim, others);
	claim->claims->count--;
	free(claim);
}
