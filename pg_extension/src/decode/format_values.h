/*
 * format_values.h - values of fields, as the envelope of their message has them
 *
 * Of connect and debezium with a schema: numbers get the unit that their schema says, decimals and bytes are read from base64,
 * a string that is JSON is that document. Of debezium: a delete has what the source has kept of the row, so that no value is
 * required; and an update leaves out values that it did not change and the source did not read.
 */
#ifndef MR_FORMAT_VALUES_H
#define MR_FORMAT_VALUES_H

#include "postgres.h"

#include "nodes/bitmapset.h"

#include "decode/decode.h"
#include "decode/fields.h"
#include "decode/format_envelope.h"

typedef struct MrFormatValues MrFormatValues;

/* Made in the current memory context; the decoder follows it from now on. Both must live as long. */
extern MrFormatValues *mr_format_values_create(MrFormatKind kind, const MrFields *fields,
											   MrDecoder *decoder);

/*
 * The message whose document is decoded next. take_left_out: fields (from 0) of which a value that the source left out is NULL,
 * whatever NOT NULL and DEFAULT say; of others it is a failure.
 */
extern void mr_format_values_begin(MrFormatValues *values, const MrEnvelope *envelope,
								   const Bitmapset *take_left_out);

/* The fields (from 0) that were left out of the document decoded last, in the current memory context; NULL: none. */
extern Bitmapset *mr_format_values_left_out(const MrFormatValues *values);

/* Their names, as text[]; false: none. */
extern bool mr_format_values_name_left_out(const MrFormatValues *values, Datum *names);

#endif
