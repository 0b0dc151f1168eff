/*
 * format_parts.h - the scan of an envelope for its parts, for the format_*.c files
 */
#ifndef MR_FORMAT_PARTS_H
#define MR_FORMAT_PARTS_H

#include "decode/format_envelope.h"

struct MrOpener
{
	MrFormatKind kind;
	MrJsonPlan *plan; /* slot n is part n */
};

/* Asks for the value of a key of the message's object. Parts are asked for in their order. */
extern void mr_parts_want(MrOpener *opener, const char *key);

/* The same of a key of an object that is the value of `outer`. */
extern void mr_parts_want_inside(MrOpener *opener, const char *outer, const char *key);

/* Scans a message, which must be an object, into the parts. */
extern bool mr_parts_scan(MrOpener *opener, const char *bytes, int length, MrEnvelope *envelope,
						  MrEnvelopeProblem *problem);

/* The document is this part; when there is none, or null, it is absent. */
extern void mr_parts_take_document(MrEnvelope *envelope, int part);

/* Notes a problem; false. */
extern bool mr_parts_refuse(MrEnvelopeProblem *problem, MrEnvelopeCode code, int part);

#endif
