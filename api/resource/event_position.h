/*
 * Where a reader of the relation is, in the order in which its rows became visible: `since` is a snapshot, and all rows
 * that it has seen are behind the reader. Within the rows that `until` has seen and `since` has not, it has those up to
 * (xid, id). As the id of a server-sent event it names the system, too: on another one the numbers mean nothing. Pure.
 */
#ifndef MR_API_EVENT_POSITION_H
#define MR_API_EVENT_POSITION_H

#include <stdbool.h>

#include "common/buffer.h"

typedef struct MrEventPosition
{
	char *since;
	char *until; /* NULL: it is at `since`, and between no others */
	char *xid;
	char *id;
} MrEventPosition;

typedef enum MrPositionRead
{
	MR_POSITION_OK,
	MR_POSITION_INVALID,
	MR_POSITION_ELSEWHERE /* of another system */
} MrPositionRead;

/* Appends the id of an event; system: letters, digits and "-". */
extern void mr_event_position_write(MrBuffer *out, const char *system,
									const MrEventPosition *position);
/* The position is to be freed whatever it returns. */
extern MrPositionRead mr_event_position_read(MrEventPosition *position, const char *system,
											 const char *text) __attribute__((warn_unused_result));
extern void mr_event_position_copy(MrEventPosition *to, const MrEventPosition *from);
extern void mr_event_position_free(MrEventPosition *position);

#endif
