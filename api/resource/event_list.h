/* Rows of a relation, newest first, a page at a time: GET /events, and others that are asked for in the same way. */
#ifndef MR_API_EVENT_LIST_H
#define MR_API_EVENT_LIST_H

#include "api/database/relation.h"
#include "api/request/exchange.h"
#include "api/resource/event_query.h"

extern void mr_event_list_get(MrExchange *exchange);
/* The format that Accept chooses. False: none is acceptable; the request is refused, and answered. */
extern bool mr_event_list_format(MrExchange *exchange, MrFormat *format)
	__attribute__((warn_unused_result));
/* Answers with rows of the relation, as the parameters say. is_owned: it is freed afterwards. */
extern void mr_event_list_give(MrExchange *exchange, MrFormat format, const MrRelation *relation,
							   bool is_owned);

#endif
