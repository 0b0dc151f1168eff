/*
 * format_schema.h - what the schema of a Kafka Connect message says of a value: its unit, its scale
 *
 * Plain C without PostgreSQL. A schema is an object with type, for a struct fields (an array of schemas, each with its name in
 * `field`), for an array items, and maybe name and parameters: a logical type of Kafka Connect (org.apache.kafka.connect.data)
 * or of Debezium (io.debezium.time, io.debezium.data).
 */
#ifndef MR_FORMAT_SCHEMA_H
#define MR_FORMAT_SCHEMA_H

#include "decode/json_scan.h"

typedef enum MrSchemaUnit
{
	MR_SCHEMA_PLAIN, /* a value is what it looks like */
	MR_SCHEMA_DAYS,  /* a number since 1970, or of a day or of a duration, in this unit */
	MR_SCHEMA_MS,
	MR_SCHEMA_US,
	MR_SCHEMA_NS,
	MR_SCHEMA_BYTES,            /* base64 */
	MR_SCHEMA_DECIMAL,          /* base64 of the unscaled number, see mr_schema_decimal() */
	MR_SCHEMA_VARIABLE_DECIMAL, /* an object with scale and value, such bytes */
	MR_SCHEMA_JSON              /* a string that is a JSON document */
} MrSchemaUnit;

typedef struct MrSchemaType
{
	MrSchemaUnit unit;
	int scale; /* of a decimal */
} MrSchemaType;

/* Reads schemas; the allocator's memory. Serves one thread at a time. */
typedef struct MrSchemaReader MrSchemaReader;
extern MrSchemaReader *mr_schema_reader_create(MrJsonAlloc alloc);

/*
 * The schema below another: of a field of a struct by its name, or of an array's elements (key NULL). A schema is an object's
 * slot of a document that was scanned. False: there is none.
 */
extern bool mr_schema_below(MrSchemaReader *reader, const MrJsonSlot *schema, const char *key,
							int key_length, MrJsonSlot *below);

/* What a schema says of its value; plain, when it says nothing that is known. */
extern MrSchemaType mr_schema_type(MrSchemaReader *reader, const MrJsonSlot *schema);

#define MR_SCHEMA_DECIMAL_BYTES 400  /* the most of an unscaled number: 963 digits */
#define MR_SCHEMA_SCALE_MAX     1000 /* either way */
#define MR_SCHEMA_DECIMAL_SIZE                                                                     \
	2100 /* room for the text of any decimal within these, with its NUL */

/*
 * The number that an unscaled one (two's complement, big-endian) is with a scale, as text with a final NUL: 0x04d2 with scale 2
 * is "12.34". False: it is beyond these limits, or there are no bytes.
 */
extern bool mr_schema_decimal(const unsigned char *bytes, int length, int scale, char *text);

#endif
