/*
 * How many bytes of requests and answers the process holds, all connections of all threads together, and how many it may:
 * what clients send that is not answered yet, and what they have not taken of answers and streams.
 */
#ifndef MR_API_BUDGET_H
#define MR_API_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct MrBudget
{
	atomic_size_t used;
	size_t limit;
} MrBudget;

/* `now` bytes in place of `before`. */
static inline void
mr_budget_change(MrBudget *budget, size_t before, size_t now)
{
	/* modulo 2^64 a difference may be below zero */
	if (now != before)
		atomic_fetch_add_explicit(&budget->used, now - before, memory_order_relaxed);
}

static inline bool
mr_budget_has_room(MrBudget *budget, size_t more)
{
	return atomic_load_explicit(&budget->used, memory_order_relaxed) + more <= budget->limit;
}

#endif
