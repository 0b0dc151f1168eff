/*
 * A request of POST /events as the events it holds: from its parameters (of the query string and of a form), a JSON object, a CloudEvent in any of its
 * modes, or lines of NDJSON. Pure.
 */
#ifndef MR_API_EVENT_INPUT_H
#define MR_API_EVENT_INPUT_H

#include "api/control/problem.h"
#include "api/publish/message.h"
#include "api/request/params.h"

#define MR_EVENTS_MAX 10000 /* of one request */

typedef struct MrEventInput
{
	const MrParams *params;
	const char *content_type;
	const char *body;
	size_t body_len;
	const char *(*header)(void *owner, const char *name); /* NULL: not sent */
	/* an id for an event that has none; line as below */
	void (*make_id)(void *owner, int line, char uuid[MR_UUID_SIZE]);
	void *owner;
	int64_t now_ms;
} MrEventInput;

/* One event of a request, or why it is none. */
typedef struct MrEventItem
{
	int line; /* of NDJSON, or number in a batch, from 1 */
	MrMessage message;
	char error[320]; /* "" when the message is to be published */
} MrEventItem;

typedef struct MrEventItems
{
	MrEventItem *items;
	int count;
	bool is_batch; /* the answer counts them; else there is one */
} MrEventItems;

/* False: the request as a whole is refused with `problem`. */
extern bool mr_event_input_read(MrEventItems *items, const MrEventInput *input, MrProblem *problem,
								char *detail, size_t detail_size, const char **hint)
	__attribute__((warn_unused_result));
extern void mr_event_items_free(MrEventItems *items);

#endif
