/*
 * tally.h: what a settled event adds to the counters of its partition and of its type.
 */
#ifndef MR_TALLY_H
#define MR_TALLY_H

#include "program/batch.h"

/* To the totals of its partition: it moves from one outcome to another, or is a new one. */
extern void mr_tally(MrCounters *total, const MrEvent *event);

/*
 * To the counters of its type, which only grow: what became of this try. It is one of `events` with its first try, and
 * so not while it is parked: it is not decoded then.
 */
extern void mr_tally_by_type(MrCounters *added, const MrEvent *event);

#endif /* MR_TALLY_H */
