/* Claims of Idempotency-Keys, over a pool that only counts: how many there may be at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/resource/claim.h"
#include "common/buffer.h"

#define WAITING_MAX 1000 /* of the pool's */

/* Stands for a query that waits. */
struct MrQuery
{
	int unused;
};

static MrQuery query;
static int waiting;

MrPool *
mr_pool_new(const MrPoolSetup *setup)
{
	(void) setup;
	return NULL;
}

MrQuery *
mr_pool_query(MrPool *pool, const char *name, const char *sql, int count, const char *const *values,
			  MrQueryEnd end, void *owner, MrQueryFailure *failure)
{
	(void) pool, (void) name, (void) sql, (void) count, (void) values, (void) end, (void) owner;
	*failure = waiting < WAITING_MAX ? MR_QUERY_OK : MR_QUERY_BUSY;
	waiting += waiting < WAITING_MAX;
	return *failure == MR_QUERY_OK ? &query : NULL;
}

void
mr_query_abandon(MrQuery *ended)
{
	(void) ended;
	waiting--;
}

void
mr_pool_tick(MrPool *pool)
{
	(void) pool;
}

bool
mr_pool_is_in_trouble(const MrPool *pool)
{
	(void) pool;
	return false;
}

bool
mr_pool_is_connected(const MrPool *pool)
{
	(void) pool;
	return true;
}

void
mr_pool_free(MrPool *pool)
{
	(void) pool;
}

static void
on_ended(void *owner)
{
	++*(int *) owner;
}

static void
on_asked(void *owner, const MrClaimAnswer *answer)
{
	(void) answer;
	on_ended(owner);
}

/* However many ask: a claim that is published finds room for its record. */
static void
a_record_has_room(void **state)
{
	static const MrClaimEvents events = {on_asked, on_ended, on_ended};
	const MrPoolSetup setup = {.query_ms = 1000};
	const MrClaimKey key = {.key.text = "k"};
	MrClaims *claims = mr_claims_new(&setup, "t", 1000);
	MrQueryFailure failure = MR_QUERY_OK;
	int ended = 0;
	MrClaim *published = mr_claim_ask(claims, &key, &events, &ended, &failure);
	int open = 1;

	(void) state;
	waiting--; /* its query has run */
	while (open < 2 * WAITING_MAX && mr_claim_ask(claims, &key, &events, &ended, &failure) != NULL)
		open++;
	assert_int_equal(failure, MR_QUERY_BUSY);
	assert_int_equal(mr_claims_open(claims), open);
	mr_claim_end(published, 202, NULL, "{}");
	assert_int_equal(ended, 0); /* else it was refused, and is not recorded */
	mr_claims_free(claims);
	assert_int_equal(ended, open);
	assert_int_equal(waiting, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_record_has_room)};

	return cmocka_run_group_tests_name("resource/claim", tests, NULL, NULL);
}
