/* What the admin port answers: /metrics and /readyz, of the whole process. */
#ifndef MR_INGESTOR_INGESTOR_METRICS_H
#define MR_INGESTOR_INGESTOR_METRICS_H

#include <stdbool.h>

#include "common/buffer.h"

/* owner: the MrIngestor. */
extern void mr_ingestor_metrics(void *owner, MrBuffer *out);
/* Not ready: a line for each reason. */
extern bool mr_ingestor_ready(void *owner, MrBuffer *out);

#endif
