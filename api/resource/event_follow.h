/*
 * Follows the relation in the order in which its rows became visible, which is the order of commits: times and offsets
 * are no such order, since what is tried again commits late. One statement gives the rows that a snapshot has not seen
 * (xid >= its xmax, or xid among those that were running), and the snapshot that they were read with: from there it goes
 * on, with nothing lost and nothing twice. The relation must be one that rows are only added to. Pure.
 */
#ifndef MR_API_EVENT_FOLLOW_H
#define MR_API_EVENT_FOLLOW_H

#include "api/request/exchange.h"
#include "api/resource/event_position.h"
#include "api/resource/event_query.h"

#define MR_FOLLOW_ROWS 1000 /* that a statement reads at most, whether a filter has them or not */

/* Where the columns of its result are. The first is NULL on a standby; the third when there is no row. */
enum
{
	MR_FOLLOW_SYSTEM,
	MR_FOLLOW_SNAPSHOT, /* of the statement */
	MR_FOLLOW_XID,
	MR_FOLLOW_ID,
	MR_FOLLOW_GROUPS /* of each group the row as JSON, or NULL: not one of the group's */
};

/*
 * Builds the statement for groups of readers: each has the parameters (filters, from, to, fields) of its requests, which
 * must outlive the query. False: `refusal` says why.
 */
extern bool mr_event_follow_build(MrEventQuery *query, const MrRelation *relation,
								  const MrParams *const *groups, int count, MrListRefusal *refusal)
	__attribute__((warn_unused_result));
/* Sets where to read from; position->until NULL: up to the present. The position must outlive the query. */
extern void mr_event_follow_from(MrEventQuery *query, const MrEventPosition *position);
/* Answers a stream whose first statement failed: a filter that the column's type has no operator for is the client's. */
extern void mr_event_follow_problem(MrExchange *exchange, MrQueryFailure failure,
									const MrPgError *error);

#endif
