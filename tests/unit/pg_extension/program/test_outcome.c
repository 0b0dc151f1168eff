/*
 * test_outcome.c: each edge of the state machine leads where the drawing says, from the states it says, and from no
 * other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "program/outcome.h"

/* A failure is only passed on here: any address will do. */
static int failure_at;
static struct MrFailure *const failure = (struct MrFailure *) &failure_at;

static jmp_buf refusal;

void
mr_outcome_refuse(MrOutcomeState from, MrOutcomeState to)
{
	(void) from;
	(void) to;
	longjmp(refusal, 1);
}

static void
fail_with(MrOutcome *outcome)
{
	mr_outcome_fail(outcome, failure);
}

static void
bury_exhausted(MrOutcome *outcome)
{
	mr_outcome_bury(outcome, MR_END_EXHAUSTED);
}

#define FROM(state) MR_OUTCOME_FROM(MR_##state)

typedef struct Edge
{
	const char *name;
	void (*take)(MrOutcome *outcome);
	unsigned from;
	MrOutcomeState to;
	bool failure; /* known afterwards */
} Edge;

static const Edge edges[] = {
	{"fail", fail_with, FROM(PENDING), MR_FAILED, true},
	{"undo", mr_outcome_undo, FROM(PENDING) | FROM(FAILED), MR_PENDING, false},
	{"write", mr_outcome_write, FROM(PENDING) | FROM(WRITTEN), MR_WRITTEN, false},
	{"filter", mr_outcome_filter, FROM(PENDING), MR_FILTERED, false},
	{"supersede", mr_outcome_supersede, FROM(PENDING), MR_SUPERSEDED, false},
	{"skip", mr_outcome_skip, FROM(PENDING), MR_SKIPPED, false},
	{"discard", mr_outcome_discard, FROM(PENDING), MR_DISCARDED, false},
	{"retry", mr_outcome_retry, FROM(FAILED), MR_RETRYING, true},
	{"bury", bury_exhausted, FROM(FAILED), MR_DEAD, true},
	{"park", mr_outcome_park,
	 FROM(PENDING) | FROM(WRITTEN) | FROM(FILTERED) | FROM(SUPERSEDED) | FROM(SKIPPED) |
		 FROM(RETRYING) | FROM(DEAD),
	 MR_PARKED, false},
	{"write_again", mr_outcome_write_again, FROM(WRITTEN) | FROM(FILTERED) | FROM(SUPERSEDED),
	 MR_PENDING, false},
	{"judge_again", mr_outcome_judge_again, FROM(RETRYING) | FROM(DEAD), MR_FAILED, true},
};

#define NEDGES (sizeof(edges) / sizeof(edges[0]))

static bool
has_failure(MrOutcomeState state)
{
	return state == MR_FAILED || state == MR_RETRYING || state == MR_DEAD;
}

static MrOutcome
in_state(MrOutcomeState state)
{
	return (MrOutcome){.state = (int8_t) state, .failure = has_failure(state) ? failure : NULL};
}

static bool
is_taken(const Edge *edge, MrOutcome *outcome)
{
	if (setjmp(refusal) != 0)
		return false;
	edge->take(outcome);
	return true;
}

static void
an_edge_leads_from_its_states_alone(void **state)
{
	(void) state;
	for (size_t i = 0; i < NEDGES; i++)
		for (int from = 0; from < MR_OUTCOME_STATES; from++)
		{
			MrOutcome outcome = in_state((MrOutcomeState) from);
			bool allowed = edges[i].from & MR_OUTCOME_FROM(from);

			if (is_taken(&edges[i], &outcome) != allowed)
				fail_msg("%s from %s is %s", edges[i].name, mr_outcome_name((MrOutcomeState) from),
						 allowed ? "refused" : "allowed");
			assert_int_equal(outcome.state, allowed ? (int) edges[i].to : from);
		}
}

static void
a_failure_is_known_of_failed_events_alone(void **state)
{
	(void) state;
	for (size_t i = 0; i < NEDGES; i++)
		for (int from = 0; from < MR_OUTCOME_STATES; from++)
		{
			MrOutcome outcome = in_state((MrOutcomeState) from);

			if (!is_taken(&edges[i], &outcome))
				continue;
			assert_ptr_equal(outcome.failure, edges[i].failure ? failure : NULL);
			assert_int_equal(has_failure((MrOutcomeState) outcome.state), edges[i].failure);
		}
}

static void
an_event_begins_pending(void **state)
{
	MrOutcome outcome;

	(void) state;
	memset(&outcome, 0, sizeof(outcome));
	assert_int_equal(outcome.state, MR_PENDING);
	assert_null(outcome.failure);
}

static void
a_dead_letter_knows_its_end(void **state)
{
	MrOutcome outcome = in_state(MR_FAILED);

	(void) state;
	mr_outcome_bury(&outcome, MR_END_TOO_OLD);
	assert_int_equal(outcome.end, MR_END_TOO_OLD);
	mr_outcome_judge_again(&outcome);
	mr_outcome_bury(&outcome, MR_END_CRASHED);
	assert_int_equal(outcome.end, MR_END_CRASHED);
}

static void
every_state_has_a_name_and_a_way_in(void **state)
{
	unsigned reached = FROM(PENDING);

	(void) state;
	for (size_t i = 0; i < NEDGES; i++)
		reached |= MR_OUTCOME_FROM(edges[i].to);
	assert_int_equal(reached, (1u << MR_OUTCOME_STATES) - 1);
	for (int i = 0; i < MR_OUTCOME_STATES; i++)
		for (int k = 0; k < i; k++)
			assert_string_not_equal(mr_outcome_name((MrOutcomeState) i),
									mr_outcome_name((MrOutcomeState) k));
	assert_string_equal(mr_outcome_name(MR_DEAD), "dead");
	assert_string_equal(mr_outcome_name(MR_PARKED), "parked");
	assert_string_equal(mr_outcome_name(MR_DISCARDED), "discarded");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_edge_leads_from_its_states_alone),
		cmocka_unit_test(a_failure_is_known_of_failed_events_alone),
		cmocka_unit_test(an_event_begins_pending),
		cmocka_unit_test(a_dead_letter_knows_its_end),
		cmocka_unit_test(every_state_has_a_name_and_a_way_in),
	};

	return cmocka_run_group_tests_name("program/outcome", tests, NULL, NULL);
}
