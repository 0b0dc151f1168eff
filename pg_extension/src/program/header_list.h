/*
 * header_list.h: Kafka headers without a loss, for event.header_list: all of them, in their order, with their bytes.
 */
#ifndef MR_HEADER_LIST_H
#define MR_HEADER_LIST_H

#include "postgres.h"

#include "utils/jsonb.h"

/* millrace.header[] */
extern Oid mr_header_list_type(void);

/* Packed headers (common/staging_format.h) as a millrace.header[]; NULL: none. A name that is no text is escaped. */
extern Datum mr_header_list(const bytea *packed);

/*
 * Packs headers that somebody wrote down: an object, or an array of pairs of name and value. A value is a string, its bytes those
 * of UTF-8, or with \x hexadecimal digits; or null. An error with a hint for anything else.
 */
extern bytea *mr_headers_pack(Jsonb *headers);

#endif /* MR_HEADER_LIST_H */
