/*
 * Rows of a result as JSON objects, byte for byte what PostgreSQL's row_to_json() makes of them, but bigint, which becomes
 * a string: JSON numbers of that size are not exact everywhere. The server sends the columns as text, which costs it less than
 * half (decision 43). What a type's text is as JSON is known here only, for the common types; of any other the caller selects
 * to_json(), whose value is passed through. Pure.
 *
 * It counts on what a session of ours has set (common/pg_session.c, api/database/session.c): DateStyle, TimeZone,
 * extra_float_digits, bytea_output, UTF-8.
 */
#ifndef MR_API_ROW_JSON_H
#define MR_API_ROW_JSON_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "common/buffer.h"

typedef struct MrRowJson MrRowJson;

/* Is a column of that type, as format_type() names it, to be selected as it is? Else by to_json(). */
extern bool mr_row_json_knows(const char *type);
/* Are its values JSON numbers, or may they be? False of a type that is not known. */
extern bool mr_row_json_has_numbers(const char *type);

/* For the first `count` columns of a result, which must outlive it. */
extern MrRowJson *mr_row_json_new(const PGresult *result, int count);
extern void mr_row_json_put(const MrRowJson *rows, int row, MrBuffer *out);
extern void mr_row_json_free(MrRowJson *rows);

#endif
