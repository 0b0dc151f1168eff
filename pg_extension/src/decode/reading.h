/*
 * reading.h - how to read a value whose form does not say what it means
 *
 * 03/04/2026, 1767225600, "deadbeef", "1.234", a time without a zone: what such a value means is fixed with the version
 * of a definition, and is the same in every session, whatever its settings. A field of the list may differ from its
 * pipeline, see fields.h. The defaults read what is unambiguous, and refuse the rest.
 */
#ifndef MR_READING_H
#define MR_READING_H

#include "postgres.h"

#include "pgtime.h"

typedef enum MrDateOrder
{
	MR_DATE_ISO, /* year first, or a month by name; anything else is refused */
	MR_DATE_DMY,
	MR_DATE_MDY,
	MR_DATE_YMD
} MrDateOrder;

/* A zone other than the reading's in a value of a type without one: date, time, timestamp. */
typedef enum MrOtherZone
{
	MR_ZONE_ERROR,
	MR_ZONE_CONVERT,
	MR_ZONE_DROP
} MrOtherZone;

typedef enum MrByteaFormat
{
	MR_BYTEA_AUTO, /* \x or 0x and hexadecimal digits, else base64; hexadecimal digits alone are refused */
	MR_BYTEA_BASE64,
	MR_BYTEA_HEX,
	MR_BYTEA_TEXT /* the string's own bytes */
} MrByteaFormat;

/* The unit of a number for a date or time since 1970, or an interval. */
typedef enum MrEpoch
{
	MR_EPOCH_NONE, /* refused */
	MR_EPOCH_DAYS,
	MR_EPOCH_S,
	MR_EPOCH_MS,
	MR_EPOCH_US,
	MR_EPOCH_NS
} MrEpoch;

/* A string that is a number. */
typedef enum MrNumberStyle
{
	MR_NUMBER_PLAIN, /* 1234.5 */
	MR_NUMBER_POINT, /* 1,234.5 or 1234.5 */
	MR_NUMBER_COMMA  /* 1.234,5 or 1 234,5 or 1234,5 */
} MrNumberStyle;

typedef enum MrIntervalStyle
{
	MR_INTERVAL_POSTGRES,
	MR_INTERVAL_SQL_STANDARD /* a leading sign is that of each part */
} MrIntervalStyle;

typedef struct MrReading
{
	MrDateOrder date_order;
	MrOtherZone other_zone;
	MrByteaFormat bytea_format;
	MrEpoch epoch;
	MrNumberStyle number_style;
	MrIntervalStyle interval_style;
	const char *time_zone; /* of times without one */
	pg_tz *zone;           /* the same */
	bool utc;              /* it is UTC */
} MrReading;

/* ISO, UTC, and what is ambiguous is refused. */
extern void mr_reading_init(MrReading *reading);

/* Whether there is a setting of that name, in any capitals. */
extern bool mr_reading_has(const char *option);

/*
 * Sets one, in any capitals; the value must live as long as the reading. NULL: done; else what the value should have been,
 * such as "ISO, DMY, MDY or YMD".
 */
extern const char *mr_reading_set(MrReading *reading, const char *option, const char *value);

/* The same; a value that it cannot have is an error with a hint. */
extern void mr_reading_set_or_raise(MrReading *reading, const char *option, const char *value);

/* A value that it can have, for hints. */
extern const char *mr_reading_example(const char *option);

/*
 * The session's settings that give a value or an expression its meaning, for this GUC nest level: those that are of the
 * reading, and the rest as they are by default, whatever server, database, role and session have. Cheap when they are so
 * already.
 */
extern void mr_reading_pin(const MrReading *reading);

/* One of these by number, from 0; false: there are no more. */
extern bool mr_reading_setting(const MrReading *reading, int number, const char **name,
							   const char **value);

#endif /* MR_READING_H */
