/*
 * How much memory fetched events may take, all consumers of the process together. A consumer's share is the budget
 * divided by the number of those that hold events at that moment: one that is idle leaves its part to the others.
 *
 * Sizes are those in memory: decompressed, and with what librdkafka keeps for each message. How large a response will be
 * when it is decompressed is not known before it is there: it is taken to be like those before, and when there is no room
 * for one, consumers fetch by turns. A response that is on its way when fetching stops is decompressed all the same, and kept by
 * librdkafka until fetching goes on: so responses are small, the smaller the more consumers there are.
 *
 * Pure, but for the wake-ups. The main thread only; a budget outlives its shares.
 */
#ifndef MR_INGESTOR_BUDGET_H
#define MR_INGESTOR_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

typedef struct MrFetchShare MrFetchShare;

typedef struct MrFetchBudget
{
	int64_t bytes; /* the limit */
	int64_t used;
	int64_t expected; /* what shares that are being filled will have got */
	int planned;      /* shares that there will be soon; set by the owner */
	int shares;
	int holders;           /* shares that are not small */
	MrFetchShare *waiting; /* for room, the longest waiting first */
} MrFetchBudget;

/* Of one consumer. */
struct MrFetchShare
{
	MrFetchBudget *budget;
	int64_t used;
	int64_t
		filling; /* what it holds when it is full, by experience: more than its part if a response is larger */
	int64_t expected; /* of that, what is still to come */
	bool is_holder;
	bool is_waiting;
	MrFetchShare *next; /* in the budget's list */
	void (*room)(void *owner);
	void *owner;
};

/* What one response to a new consumer should hold at most, as the broker counts: compressed. */
extern int64_t mr_budget_response_bytes(const MrFetchBudget *budget);
/* room: it may be filled now; called from inside a function of another share. */
extern void mr_share_join(MrFetchShare *share, MrFetchBudget *budget, void (*room)(void *owner),
						  void *owner);
/* It holds nothing any more. */
extern void mr_share_leave(MrFetchShare *share);
extern void mr_share_add(MrFetchShare *share, int64_t bytes);
extern void mr_share_remove(MrFetchShare *share, int64_t bytes);
/* No more may be fetched. */
extern bool mr_share_is_full(const MrFetchShare *share);
/* It was full, and fetching has stopped. */
extern void mr_share_note_full(MrFetchShare *share);
/* Nothing comes for it. */
extern void mr_share_note_dry(MrFetchShare *share);
/*
 * Fetching may go on: most of it was taken, and there is room to fill it, which is expected from now on. When only the
 * room is missing, `room` is called later.
 */
extern bool mr_share_may_fill(MrFetchShare *share);

#endif
