/* GET /events: processed events, newest first, a page at a time. */
#ifndef MR_API_EVENT_LIST_H
#define MR_API_EVENT_LIST_H

#include "api/request/exchange.h"

extern void mr_event_list_get(MrExchange *exchange);

#endif
