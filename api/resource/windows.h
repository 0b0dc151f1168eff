/* Aggregates by windows of time: which there are, and the rows of one. */
#ifndef MR_API_WINDOWS_H
#define MR_API_WINDOWS_H

#include "api/request/exchange.h"

extern void mr_windows_get(MrExchange *exchange);
extern void mr_window_get(MrExchange *exchange);

#endif
