/* The body of a request, whatever content coding it came in. */
#ifndef MR_API_BODY_H
#define MR_API_BODY_H

#include "api/request/exchange.h"

/*
 * Decodes the body: mr_exchange_body() gives it as it was before Content-Encoding. Nothing happens without a body or a
 * coding. What it becomes is bounded by setup->body_max and counts within --buffers. False: the request is refused, and
 * answered: 415 for a coding that is not supported, 400 for what is not valid gzip, 413 and 503.
 */
extern bool mr_body_decode(MrExchange *exchange);

#endif
