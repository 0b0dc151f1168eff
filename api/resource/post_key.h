/* The Idempotency-Key of a request of POST /events, and its fingerprint. */
#ifndef MR_API_POST_KEY_H
#define MR_API_POST_KEY_H

#include "api/request/exchange.h"
#include "api/resource/claim.h"

/* *has_key: whether it came with one. False: the header field is not valid; the request is refused, and answered. */
extern bool mr_post_key_read(MrExchange *exchange, MrClaimKey *key, bool *has_key)
	__attribute__((warn_unused_result));

#endif
