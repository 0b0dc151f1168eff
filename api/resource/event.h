/* GET /events/{id}: one processed event, by its id or by its Kafka coordinate (topic:partition:offset). */
#ifndef MR_API_EVENT_H
#define MR_API_EVENT_H

#include "api/request/exchange.h"

extern void mr_event_get(MrExchange *exchange);

#endif
