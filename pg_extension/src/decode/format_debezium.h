/*
 * format_debezium.h - opening change events of Debezium, for format_envelope.c
 */
#ifndef MR_FORMAT_DEBEZIUM_H
#define MR_FORMAT_DEBEZIUM_H

#include "decode/format_envelope.h"

/* Asks an opener for the parts. */
extern void mr_debezium_want(MrOpener *opener);

/* As mr_envelope_open(), of one whose format is debezium. */
extern bool mr_debezium_open(MrOpener *opener, const char *bytes, int length, MrEnvelope *envelope,
							 MrEnvelopeProblem *problem);

/*
 * Whether a value of the row after a change is what Debezium writes for one that the database did not give it: a value out of
 * line (TOAST) that the change left as it was.
 */
extern bool mr_debezium_is_left_out(const MrJsonSlot *value);

#endif
