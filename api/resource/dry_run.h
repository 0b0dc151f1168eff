/* POST /pipelines/{name}/dry-run: what the outcome of events would be (millrace.dry_run()), without any effect. */
#ifndef MR_API_DRY_RUN_H
#define MR_API_DRY_RUN_H

#include "api/request/exchange.h"

extern void mr_pipeline_dry_run(MrExchange *exchange);

#endif
