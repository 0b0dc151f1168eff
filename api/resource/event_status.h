/* GET /events/{id}/status: what became of an event, by its Kafka coordinate. */
#ifndef MR_API_EVENT_STATUS_H
#define MR_API_EVENT_STATUS_H

#include "api/request/exchange.h"

extern void mr_event_status_get(MrExchange *exchange);

#endif
