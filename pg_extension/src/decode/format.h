/*
 * format.h - what a pipeline's messages look like around their JSON document (its setting `format`)
 *
 * A message is opened before its fields are decoded: that gives the range of the document, and columns of `event` that the
 * format adds. With the format json the document is the message, nothing is added, and there is no MrFormat.
 */
#ifndef MR_FORMAT_H
#define MR_FORMAT_H

#include "postgres.h"

#include "nodes/bitmapset.h"

#include "server/failure.h"
#include "decode/decode.h"
#include "decode/fields.h"
#include "decode/format_envelope.h"

typedef struct MrFormat MrFormat;

/* A column that a format adds to `event`. */
typedef struct MrFormatColumn
{
	const char *name;
	Oid type_id;
} MrFormatColumn;

/*
 * Lets the format see to the values of fields: units, decimals and bytes as a schema in the message has them, and what a delete
 * or an update does not have. For NULL it does nothing. Both must live as long as the format.
 */
extern void mr_format_attach(MrFormat *format, const MrFields *fields, MrDecoder *decoder);

/* The column with the names of the fields that the source left out of a row; -1: the format has none. */
extern int mr_format_left_out_column(const MrFormat *format);

/*
 * Of these fields (from 0) such a value is NULL, whatever NOT NULL and DEFAULT say; of others it is a failure. The set is not
 * copied; at first it is empty.
 */
extern void mr_format_take_left_out(MrFormat *format, const Bitmapset *fields);

/* The fields (from 0) that the source left out of the document decoded last, in the current memory context; NULL: none. */
extern Bitmapset *mr_format_left_out(const MrFormat *format);

/* The kind of that name; false for json, an error for a name that is none of the formats. */
extern bool mr_format_kind(const char *name, MrFormatKind *kind);

/* Made in the current memory context; NULL for json. An error for a name that is none of the formats. */
extern MrFormat *mr_format_create(const char *name);

/* Whether a message has several documents, each an event: who opens one has taken it apart (format_ndjson.h). */
extern bool mr_format_has_documents(const MrFormat *format);

/* The columns that it adds, `count` of them; none of NULL. */
extern const MrFormatColumn *mr_format_columns(const MrFormat *format, int *count);

/*
 * Opens a message: its payload, and its packed headers (NULL: none). Returns NULL, with the envelope, whose parts point into
 * both, or why not. Never throws for what is in the bytes. Without a document it has that of "{}".
 */
extern MrFailure *mr_format_open(MrFormat *format, const bytea *payload, const bytea *headers,
								 MrEnvelope *envelope);

/* The value of a column it adds, of an opened message, in the current memory context. Returns NULL, or why it has none. */
extern MrFailure *mr_format_value(MrFormat *format, int column, const bytea *payload,
								  const bytea *headers, const MrEnvelope *envelope, Datum *value,
								  bool *isnull);

/* Says of a failure to decode the document of a message what its format has to do with it. */
extern void mr_format_explain(const MrFormat *format, const MrEnvelope *envelope,
							  MrFailure *failure);

#endif
