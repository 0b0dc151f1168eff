/* GET /events/stream: rows as they are committed. */
#ifndef MR_API_EVENT_STREAM_H
#define MR_API_EVENT_STREAM_H

#include "api/request/exchange.h"

extern void mr_event_stream_get(MrExchange *exchange);

#endif
