/* GET /events/all: the statistics, once or as a stream. */
#ifndef MR_API_EVENT_ALL_H
#define MR_API_EVENT_ALL_H

#include "api/request/exchange.h"

extern void mr_event_all_get(MrExchange *exchange);

#endif
