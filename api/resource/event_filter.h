/* Which events: the filters by column, and by time, as conditions with parameters; and how a list is refused. Pure. */
#ifndef MR_API_EVENT_FILTER_H
#define MR_API_EVENT_FILTER_H

#include "api/resource/event_query.h"

/*
 * Appends the conditions on the row t to the statement, each behind query->joint. indexed: a filter that no index serves
 * in the order of time is refused. False: `refusal` says why.
 */
extern bool mr_event_filter_put(MrEventQuery *query, const MrRelation *relation,
								const MrParams *params, bool indexed, MrListRefusal *refusal)
	__attribute__((warn_unused_result));
/* Appends a parameter of that type. */
extern void mr_event_filter_value(MrEventQuery *query, const char *value, const char *type);
/* Appends what joins the next condition to those before. */
extern void mr_event_filter_and(MrEventQuery *query);
/* Is it a parameter of lists, and no filter by column? */
extern bool mr_event_filter_is_own(const char *name);

#define MR_STREAM_HINT "A stream has filters by column, from, to, q and fields."

/* Fills the refusal; hint may be NULL. Returns false. */
extern bool mr_list_refuse(MrListRefusal *refusal, MrProblem problem, const char *hint,
						   const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same for a name in fields that is no column; the hint has the nearest one. */
extern bool mr_list_refuse_column(MrListRefusal *refusal, const MrRelation *relation,
								  const char *name);

#endif
