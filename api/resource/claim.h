/*
 * The claim of a POST with an Idempotency-Key (millrace.claim_idempotency_key()): asked for before its events are published,
 * ended when they are, whether the client is still there or not. Of one thread, with connections of their own that may write.
 */
#ifndef MR_API_CLAIM_H
#define MR_API_CLAIM_H

#include "api/control/keys.h"
#include "api/database/pool.h"
#include "api/publish/idempotency.h"

typedef struct MrClaims MrClaims;
typedef struct MrClaim MrClaim;

/* Whose key it is, and which. */
typedef struct MrClaimKey
{
	MrIdempotencyKey key;
	char client[MR_KEY_NAME_MAX + 1]; /* name of the API key; "" without one */
} MrClaimKey;

typedef enum MrClaimOutcome
{
	MR_CLAIM_MINE,       /* publish, and end it */
	MR_CLAIM_ANSWERED,   /* the first request's answer is given */
	MR_CLAIM_IN_FLIGHT,  /* another request has it, and no answer */
	MR_CLAIM_OTHER_BODY, /* the key came with another request */
	MR_CLAIM_FAILED      /* see failure and error: nothing is claimed, as far as is known */
} MrClaimOutcome;

/* Texts are the pool's. */
typedef struct MrClaimAnswer
{
	MrClaimOutcome outcome;
	const char *location; /* NULL: none */
	const char *body;
	MrQueryFailure failure;
	const MrPgError *error;
} MrClaimAnswer;

/* How often claims had each outcome. */
typedef struct MrClaimCounts
{
	uint64_t outcomes[MR_CLAIM_FAILED + 1]; /* by MrClaimOutcome */
	uint64_t expired; /* of MR_CLAIM_MINE those that took over another's, whose lease had ended */
	uint64_t unrecorded; /* answers that were given and could not be recorded */
	int open;            /* claims that have not ended */
} MrClaimCounts;

typedef struct MrClaimEvents
{
	/* Unless it is MR_CLAIM_MINE the claim is gone. */
	void (*asked)(void *owner, const MrClaimAnswer *answer);
	/* It is gone, recorded or not. */
	void (*ended)(void *owner);
	/* The thread ends: the claim is gone, and its lease runs out by itself. */
	void (*given_up)(void *owner);
} MrClaimEvents;

/* topic: that is published to; publish_ms: longest that takes. `pool` says how to connect. */
extern MrClaims *mr_claims_new(const MrPoolSetup *pool, const char *topic, int64_t publish_ms);
extern const MrPool *mr_claims_pool(const MrClaims *claims);
extern void mr_claims_tick(MrClaims *claims);
/* Has it a connection? Else every mr_claim_ask() is refused. */
extern bool mr_claims_can_ask(const MrClaims *claims);
/* It has none, and connecting has failed. */
extern bool mr_claims_are_in_trouble(const MrClaims *claims);
/* Claims that have not ended. */
extern int mr_claims_open(const MrClaims *claims);
extern void mr_claims_counts(const MrClaims *claims, MrClaimCounts *counts);
/* Before the outbox that its owners publish with. */
extern void mr_claims_free(MrClaims *claims);

/*
 * NULL: refused at once (no connection, or too many are open), *failure says why, and no event is called. The key is
 * copied; events must stay.
 */
extern MrClaim *mr_claim_ask(MrClaims *claims, const MrClaimKey *key, const MrClaimEvents *events,
							 void *owner, MrQueryFailure *failure)
	__attribute__((warn_unused_result));
/* Records the answer; status 0: nothing is known to be published, the key is free again. `ended` may come before it returns. */
extern void mr_claim_end(MrClaim *claim, int status, const char *location, const char *body);

#endif
