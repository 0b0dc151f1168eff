/*
 * decode_outside.h - fields that are not in the payload: the message's key, values in a JSON key, headers
 */
#ifndef MR_DECODE_OUTSIDE_H
#define MR_DECODE_OUTSIDE_H

#include "decode/decode.h"
#include "decode/decode_field.h"

typedef struct MrOutside MrOutside;

/* Made in the current memory context; NULL when all fields are in the payload. */
extern MrOutside *mr_outside_create(const MrFields *fields);

/* How the values of such a field are read, where that is not as in the payload. To be called after mr_decode_pick(). */
extern void mr_outside_pick(const MrField *field, MrDecodeField *reader);

/*
 * Fills the slots of these fields, slots[slot_of[number of the field]]. Returns NULL, or why not. What the slots point to lives as
 * long as the message and the current memory context.
 */
extern MrFailure *mr_outside_fill(MrOutside *outside, const MrDecodeAround *around,
								  const MrDecodeField *readers, MrJsonSlot *slots,
								  const int *slot_of);

#endif
