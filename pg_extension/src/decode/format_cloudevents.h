/*
 * format_cloudevents.h - opening CloudEvents, for format_envelope.c
 */
#ifndef MR_FORMAT_CLOUDEVENTS_H
#define MR_FORMAT_CLOUDEVENTS_H

#include "decode/format_envelope.h"

/* As mr_envelope_open(), of one whose format is cloudevents. */
extern bool mr_cloudevent_open(MrOpener *opener, const char *bytes, int length, const char *headers,
							   int headers_length, MrEnvelope *envelope,
							   MrEnvelopeProblem *problem);

/* The key of a part in the structured mode, as "datacontenttype". */
extern const char *mr_cloudevent_part_name(int part);

#endif
