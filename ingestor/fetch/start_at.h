/*
 * Where a pipeline begins when it first sees its topic: the text of pipeline.start_at as one of
 * Kafka's logical offsets or a time. Pure.
 */
#ifndef MR_INGESTOR_START_AT_H
#define MR_INGESTOR_START_AT_H

#include <stdbool.h>
#include <stdint.h>

#define MR_START_EARLIEST (-2) /* as in Kafka's ListOffsets */
#define MR_START_LATEST   (-1)

/* earliest, latest, ms since 1970, or an ISO 8601 time with a zone (UTC when none). */
extern bool mr_start_at_parse(const char *text, int64_t *start);

#endif
