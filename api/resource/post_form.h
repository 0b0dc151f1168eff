/*
 * A body of the media type that HTML forms and `curl -d` send (application/x-www-form-urlencoded): its parameters are those
 * of the query, in another place.
 */
#ifndef MR_API_POST_FORM_H
#define MR_API_POST_FORM_H

#include "api/request/exchange.h"

/* Adds them to those of the request, which then has no body. False: the request is refused, and answered. */
extern bool mr_post_form_read(MrExchange *exchange) __attribute__((warn_unused_result));

#endif
