/* What the admin port shows of the process: /metrics and /readyz. */
#ifndef MR_API_METRICS_H
#define MR_API_METRICS_H

#include <stdbool.h>

#include "common/buffer.h"

/* Callbacks of MrAdminHttp; owner is the MrApi. */
extern void mr_api_metrics(void *owner, MrBuffer *out);
extern bool mr_api_ready(void *owner, MrBuffer *out);

#endif
