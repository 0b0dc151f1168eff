/*
 * format_extensions.h - the attributes of a CloudEvent that its specification does not name
 */
#ifndef MR_FORMAT_EXTENSIONS_H
#define MR_FORMAT_EXTENSIONS_H

#include "postgres.h"

#include "server/failure.h"

/*
 * An object of them: of the structured mode from the payload, else (payload NULL) from the headers, as strings. Returns NULL,
 * or why there is none.
 */
extern MrFailure *mr_format_extensions(const bytea *payload, const bytea *headers, Datum *jsonb);

#endif
