/* GET /openapi.json: the document that describes all routes, openapi.json beside this file, linked into the program. */
#ifndef MR_API_OPENAPI_H
#define MR_API_OPENAPI_H

#include "api/request/exchange.h"

extern void mr_openapi_get(MrExchange *exchange);

#endif
