/*
 * key_order.h: which of the upserts and deletes that a batch has for one key make a difference.
 *
 * Pure: it needs no header of the server, and its unit test needs no server.
 */
#ifndef MR_KEY_ORDER_H
#define MR_KEY_ORDER_H

#include <stdbool.h>

/* What an event does to its key, as far as that decides which others are still needed. */
typedef struct MrKeyStep
{
	bool deletes;
	bool ranked; /* `rank` counts: it has a value of newer_by */
	int rank;    /* of that value among those of the key: equal values have equal ranks */
} MrKeyStep;

/*
 * Takes the steps that make no difference out of those of one key, which are in the order of the events. Wherever the target's
 * row stood before them and whatever its value of newer_by was, it is the same after those that stay.
 * superseded_by[i]: of steps[i], index of the step that took its place, -1: it stays. `newer`: the pipeline has newer_by.
 * stay: receives those that stay, n at most, in their order. Returns how many.
 */
extern int mr_key_order_reduce(const MrKeyStep *steps, int n, bool newer, int *superseded_by,
							   int *stay);

#endif /* MR_KEY_ORDER_H */
