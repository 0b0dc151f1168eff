/* POST /events: publishes events and answers after Kafka's acknowledgement. */
#ifndef MR_API_EVENT_POST_H
#define MR_API_EVENT_POST_H

#include "api/request/exchange.h"

extern void mr_event_post(MrExchange *exchange);

#endif
