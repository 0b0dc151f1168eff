/*
 * decode.h - payload bytes to typed values, in one pass
 *
 * The JSON document is validated from its first byte to its last (UTF-8, syntax, depth, nothing
 * after the end) while the declared fields are picked out; each is then converted by hand-written
 * code for the common types and by the type's input function for the rest.
 *
 * What a JSON value may become:
 *   any type         null is NULL; a string is read by the rules of the type's input function
 *   number types     a number; 1.0 and 1e3 are integers, 1.5 is not. A string must hold a number, in the style declared
 *                    (NaN and Infinity count for real, double precision and numeric)
 *   text types       a string, or a number or boolean as it is written
 *   boolean          true, false, 0, 1
 *   date and time    a string (ISO 8601 is the quick way); a number when its unit is declared (reading.h)
 *   bytea            a string: \x or 0x and hexadecimal digits, otherwise base64 (either alphabet), or as declared
 *   json, jsonb      anything; for jsonb no number longer than 1000 digits or with an exponent over 1000
 *   arrays           an array, nested for more dimensions, or a string in PostgreSQL's array syntax
 *   other types      a string, number or boolean, through the input function
 *   domains          what the base type takes, then the domain's constraints
 * A key that comes twice counts with its last value, as in jsonb.
 */
#ifndef MR_DECODE_H
#define MR_DECODE_H

#include "server/failure.h"
#include "decode/fields.h"
#include "decode/json_scan.h"

typedef struct MrDecoder MrDecoder;

/* Makes a decoder in the current memory context; fields must live as long. */
extern MrDecoder *mr_decoder_create(const MrFields *fields);

/* What a message has besides its payload, for fields that are there; NULL: none. */
typedef struct MrDecodeAround
{
	const bytea *key;
	const bytea *headers; /* packed (common/staging_format.h) */
} MrDecodeAround;

/*
 * What a format knows of the values of a document (format_values.h). A decoder that follows rules asks `look` for each field
 * before its value is converted: it may change the slot, and set *optional, so that neither NOT NULL nor a default counts
 * where there is no value then. Returns NULL, or why the value cannot be read.
 */
typedef struct MrDecodeRules
{
	MrFailure *(*look)(void *arg, int field, MrJsonSlot *slot, bool *optional);
	void *arg;
} MrDecodeRules;

extern void mr_decoder_follow(MrDecoder *decoder, const MrDecodeRules *rules);

/* From now on this field is read even when another one cannot be: for the type of an event that fails. */
extern void mr_decoder_keep(MrDecoder *decoder, int field);

/* From now on a field is read so, whatever the list says. The reading must live as long as the decoder. */
extern void mr_decoder_read_as(MrDecoder *decoder, int field, const MrReading *reading);

/*
 * Decodes one payload into values[] and isnull[] (one per field). Returns NULL on success, else
 * why not; values[] is then undefined, and so is isnull[] (as it was, when the document is not what it should be), but for the
 * field that is kept. Never throws for what is in the bytes; out of memory, cancel
 * and shutdown pass through. Needs an open transaction: input functions of less common types run in a
 * subtransaction (which takes no xid).
 *
 * Values are allocated in the current memory context, several in one chunk: never pfree one, reset
 * the context. Defaults are not copied, they belong to the fields. Nothing points into the message. The payload of
 * a list that takes nothing from it may be anything.
 */
extern MrFailure *mr_decode(MrDecoder *decoder, const char *bytes, int length,
							const MrDecodeAround *around, Datum *values, bool *isnull);

/* The keys of a payload that no field reads, each with its path and what is there, see json_scan_plan.h. */
extern void mr_decode_unread(const MrDecoder *decoder, const char *bytes, int length,
							 MrJsonReport report, void *argument);

/* Validates and converts in one go, for event.payload; same promises as mr_decode. */
extern MrFailure *mr_json_to_jsonb(const char *bytes, int length, Datum *jsonb);

#endif
