/*
 * libFuzzer harness for the guard. Besides the sanitizers, it holds the guard to its own word: the same bytes give the
 * same requests and the same refusal however they are cut into pieces; and what it passes on, given to it again, comes out
 * as it is: there is nothing left to interpret.
 */
#include "api/wire/intake.h"
#include "tests/fuzz/must.h"

#define BODY_MAX 300

/* What a stream of bytes gave: requests one after the other, and how it ended. */
typedef struct Outcome
{
	MrBuffer requests;
	int count;
	MrProblem problem;
} Outcome;

static void
run(Outcome *outcome, const char *data, size_t len, size_t step)
{
	MrIntake intake;
	size_t at = 0;

	*outcome = (Outcome){0};
	mr_intake_init(&intake, BODY_MAX);
	while (at < len && intake.state != MR_INTAKE_REFUSED)
	{
		size_t n = step < len - at ? step : len - at;
		char *piece = malloc(n);
		size_t used;

		must(piece != NULL);
		memcpy(piece, data + at, n);
		used = mr_intake_take(&intake, piece, n);
		free(piece);
		must(used <= n);
		must(used == n || intake.state >= MR_INTAKE_READY);
		at += used;
		if (intake.state != MR_INTAKE_READY)
			continue;
		mr_buffer_append(&outcome->requests, intake.text.data, intake.text.len);
		outcome->count++;
		mr_intake_next(&intake);
	}
	outcome->problem = intake.state == MR_INTAKE_REFUSED ? intake.refusal.problem : MR_PROBLEM_NONE;
	must(outcome->problem == MR_PROBLEM_NONE || intake.refusal.why != NULL);
	mr_intake_free(&intake);
}

static void
same(const Outcome *a, const Outcome *b)
{
	must(a->count == b->count && a->requests.len == b->requests.len);
	must(a->requests.len == 0 || memcmp(a->requests.data, b->requests.data, a->requests.len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	Outcome whole;
	Outcome pieces;
	Outcome again;

	run(&whole, (const char *) data, len, len + 1);
	for (size_t step = 1; step <= 7; step += 3)
	{
		run(&pieces, (const char *) data, len, step);
		same(&whole, &pieces);
		must(whole.problem == pieces.problem);
		mr_buffer_free(&pieces.requests);
	}
	run(&again, whole.requests.data, whole.requests.len, whole.requests.len + 1);
	must(again.problem == MR_PROBLEM_NONE);
	same(&whole, &again);
	mr_buffer_free(&again.requests);
	mr_buffer_free(&whole.requests);
	return 0;
}
