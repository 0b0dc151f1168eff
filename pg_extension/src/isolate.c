/*
 * isolate.c: by suspicion, else by halves. Pure but for the callbacks.
 *
 * A run that fails names the member it was at. Those before it are run again without it, then it alone, then
 * those behind it: always in order, so that of two members that exclude each other the first one passes.
 * Without a suspect the range is halved. The part behind is a loop, not a recursion, so the depth is that of
 * the halving.
 */
#include "isolate.h"

#include "miscadmin.h"

static void
isolate(const MrIsolation *isolation, int from, int to, bool *works)
{
	while (from < to)
	{
		int suspect = -1;
		MrFailure *failure = isolation->run(isolation->arg, from, to, &suspect);
		int middle;

		CHECK_FOR_INTERRUPTS();
		if (failure == NULL)
			return;
		if (!*works)
		{
			int nobody;
			MrFailure *trouble = isolation->run(isolation->arg, from, from, &nobody);

			if (trouble != NULL)
				mr_failure_raise(trouble);
			*works = true;
		}
		if (to - from == 1)
		{
			isolation->bury(isolation->arg, from, failure);
			return;
		}
		if (suspect >= from && suspect < to)
		{
			isolate(isolation, from, suspect, works);
			isolate(isolation, suspect, suspect + 1, works);
			from = suspect + 1;
			continue;
		}
		middle = from + (to - from) / 2;
		isolate(isolation, from, middle, works);
		from = middle;
	}
}

void
mr_isolate(const MrIsolation *isolation, int n)
{
	bool works = false;

	isolate(isolation, 0, n, &works);
}
