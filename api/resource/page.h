/*
 * GET / (the status page), /docs (the reference, which its script makes of /openapi.json) and /page/{file}. The files are in
 * api/page, and linked into the program: nothing is read from disk, and nothing comes from elsewhere.
 */
#ifndef MR_API_PAGE_H
#define MR_API_PAGE_H

#include "api/request/exchange.h"

extern void mr_page_get(MrExchange *exchange);
extern void mr_page_docs_get(MrExchange *exchange);
extern void mr_page_file_get(MrExchange *exchange);

#endif
