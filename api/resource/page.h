/*
 * GET / and /page/{file}: the status page. Its files are in api/page, and linked into the program: nothing is read from
 * disk, and nothing comes from elsewhere.
 */
#ifndef MR_API_PAGE_H
#define MR_API_PAGE_H

#include "api/request/exchange.h"

extern void mr_page_get(MrExchange *exchange);
extern void mr_page_file_get(MrExchange *exchange);

#endif
