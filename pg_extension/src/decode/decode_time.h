/*
 * decode_time.h - dates and times inside decode: what its files have for each other
 *
 * decode_time.c reads ISO 8601, decode_time_text.c the strings that are not, decode_time_epoch.c numbers, decode_time_hint.c says
 * how to declare a field that reads what was found.
 */
#ifndef MR_DECODE_TIME_H
#define MR_DECODE_TIME_H

#include "datatype/timestamp.h"

#include "decode/decode_field.h"
#include "decode/time_form.h"

/* decode_time.c: of a point in time, the local time in the reading's zone; false: out of range. */
extern bool mr_time_to_local(const MrReading *reading, TimestampTz time, Timestamp *local);

/*
 * decode_time.c: of a local time whose value has an offset from UTC, what the reading makes of it, in *local. Returns why
 * it makes nothing.
 */
extern MrFailure *mr_time_settle_zone(MrDecodeField *field, const MrJsonSlot *slot,
									  TimestampTz time, Timestamp *local);

/* decode_time.c: a timestamp, or a timestamptz, as the field's type, with its precision. */
extern MrFailure *mr_time_put(const MrDecodeField *field, Timestamp time, Datum *value);

/* decode_time_text.c: a string of any form. */
extern MrFailure *mr_time_from_text(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);

/*
 * decode_time_text.c: whether a date of that form needs an order that the reading has not. With an order PostgreSQL reads by it;
 * a year of four digits at the front, or a month by name and such a year, need none.
 */
extern bool mr_time_is_ambiguous(const MrReading *reading, const MrTimeForm *form);

/* decode_time_epoch.c: number: the slot, or the number in its string. */
extern MrFailure *mr_convert_epoch(MrDecodeField *field, const MrJsonSlot *slot,
								   const MrJsonSlot *number, Datum *value);

/* decode_time_epoch.c: whether EPOCH says something of the type. */
extern bool mr_is_epoch_type(Oid type_id);

/* decode_time_hint.c: failures. The form is that of the string in the slot. */
extern MrFailure *mr_time_without_unit(const MrDecodeField *field, const MrJsonSlot *slot);
extern MrFailure *mr_time_relative(const MrDecodeField *field, const MrJsonSlot *slot);
extern MrFailure *mr_time_ambiguous(const MrDecodeField *field, const MrJsonSlot *slot,
									const MrTimeForm *form);
extern MrFailure *mr_time_other_zone(const MrDecodeField *field, const MrJsonSlot *slot);
extern MrFailure *mr_time_without_zone(const MrDecodeField *field, const MrJsonSlot *slot);
extern MrFailure *mr_time_wrong(const MrDecodeField *field, const MrJsonSlot *slot,
								const MrTimeForm *form);
/* adds to what the input function has said */
extern void mr_time_add_hint(const MrDecodeField *field, MrFailure *failure);

#endif
