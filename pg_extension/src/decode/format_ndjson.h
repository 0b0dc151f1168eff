/*
 * format_ndjson.h - the documents of a message of several: one JSON text a line
 *
 * Plain C without PostgreSQL, so that it can be unit-tested by itself. A line ends with a line feed, or with the message; a
 * carriage return before the line feed belongs to the line's end. JSON has no line feed inside of a string, so that lines
 * can be found without reading what is in them. A line of blanks alone is no document. (https://github.com/ndjson/ndjson-spec;
 * blank lines "MAY be ignored" there.)
 */
#ifndef MR_FORMAT_NDJSON_H
#define MR_FORMAT_NDJSON_H

#include <stdbool.h>

/* What of a message has not been read yet. */
typedef struct MrNdjson
{
	const char *next;
	const char *end;
} MrNdjson;

extern void mr_ndjson_begin(MrNdjson *message, const char *bytes, int length);

/* The next document, which points into the message; false: there is none. */
extern bool mr_ndjson_next(MrNdjson *message, const char **document, int *length);

/* How many documents there are; max + 1: more than max. */
extern int mr_ndjson_count(const char *bytes, int length, int max);

#endif
