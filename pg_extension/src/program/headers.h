/*
 * headers.h: Kafka headers of an event, for event.headers.
 */
#ifndef MR_HEADERS_H
#define MR_HEADERS_H

#include "postgres.h"

/* Packed headers (common/staging_format.h) as a jsonb object; of a repeated name the last counts. */
extern Datum mr_headers_to_jsonb(const bytea *packed);

#endif /* MR_HEADERS_H */
