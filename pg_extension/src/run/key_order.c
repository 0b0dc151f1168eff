/*
 * key_order.c: see key_order.h. Needs no server; tested by itself.
 *
 * Without newer_by a step takes the place of all before it: only a delete must stay in front of a later upsert, whose row is a
 * new one then, with its defaults. With newer_by a row that is in the table may be newer than any step, so
 *
 *   a delete takes the place of what is before it when nothing there is newer: whichever of these steps the row had let pass,
 *   the delete would remove it; and none that the row had refused could have a greater value than the delete
 *   an upsert takes the place of the upserts next before it that are not newer, and gives way to one that is
 *
 * A step without a value (a tombstone) is a delete of whatever is there.
 */
#include "run/key_order.h"

/* Whether `later` is not older than `earlier`, both of one key. */
static bool
reaches(const MrKeyStep *later, const MrKeyStep *earlier, bool newer)
{
	if (!newer || (later->deletes && !later->ranked))
		return true;
	if (!earlier->ranked)
		return !earlier
					->deletes; /* a row without a value is the oldest; a tombstone's place in time is not known */
	return later->ranked && later->rank >= earlier->rank;
}

/* A delete: whether it takes the place of all that stay before it. */
static bool
reaches_all(const MrKeyStep *steps, int step, bool newer, const int *stay, int nstay)
{
	for (int i = 0; i < nstay; i++)
		if (!reaches(&steps[step], &steps[stay[i]], newer))
			return false;
	return true;
}

int
mr_key_order_reduce(const MrKeyStep *steps, int n, bool newer, int *superseded_by, int *stay)
{
	int nstay = 0;

	for (int i = 0; i < n; i++)
	{
		superseded_by[i] = -1;
		if (steps[i].deletes && reaches_all(steps, i, newer, stay, nstay))
			while (nstay > 0)
				superseded_by[stay[--nstay]] = i;
		else if (!steps[i].deletes)
		{
			while (nstay > 0 && !steps[stay[nstay - 1]].deletes &&
				   reaches(&steps[i], &steps[stay[nstay - 1]], newer))
				superseded_by[stay[--nstay]] = i;
			if (nstay > 0 && !steps[stay[nstay - 1]].deletes)
			{
				superseded_by[i] = stay[nstay - 1];
				continue;
			}
		}
		stay[nstay++] = i;
	}
	return nstay;
}
