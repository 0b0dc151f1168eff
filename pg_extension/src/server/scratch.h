/*
 * scratch.h: a memory context for a piece of work that leaves more behind than its result, while the context around it
 * lives long (that of a batch, say).
 *
 * After an error it is freed with the context around it.
 */
#ifndef MR_SCRATCH_H
#define MR_SCRATCH_H

#include "postgres.h"

#include "utils/memutils.h"

typedef struct MrScratch
{
	MemoryContext outer;
	MemoryContext context;
} MrScratch;

/* From here on what is allocated is scratch. */
static inline MrScratch
mr_scratch_enter(void)
{
	MrScratch scratch = {.outer = CurrentMemoryContext};

	scratch.context =
		AllocSetContextCreate(scratch.outer, "millrace scratch", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(scratch.context);
	return scratch;
}

/* Back in the context around, for a copy of the result; the scratch is still there. */
static inline void
mr_scratch_leave(const MrScratch *scratch)
{
	MemoryContextSwitchTo(scratch->outer);
}

static inline void
mr_scratch_free(const MrScratch *scratch)
{
	MemoryContextDelete(scratch->context);
}

#endif /* MR_SCRATCH_H */
