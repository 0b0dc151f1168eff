/*
 * A thread that cancels queries: PQcancel() opens a connection of its own and blocks. One for the process; any thread
 * may give it work.
 */
#ifndef MR_API_CANCELLER_H
#define MR_API_CANCELLER_H

#include <libpq-fe.h>
#include <stdbool.h>

typedef struct MrCanceller MrCanceller;
typedef struct MrCancel MrCancel;

extern MrCanceller *mr_canceller_new(void);
/* Asks for a cancel; takes the handle over. */
extern MrCancel *mr_canceller_ask(MrCanceller *canceller, PGcancel *handle);
/* Has the server been asked (or could not be)? From then on no signal of this cancel is under way. */
extern bool mr_cancel_is_over(const MrCancel *cancel);
/* Forgets one, over or not. */
extern void mr_cancel_free(MrCanceller *canceller, MrCancel *cancel);
/*
 * Waits for the cancel under way, for a second at most: then its thread is left to itself. The others are dropped, and all are
 * forgotten before.
 */
extern void mr_canceller_free(MrCanceller *canceller);

#endif
