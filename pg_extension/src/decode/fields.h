/*
 * fields.h - the typed columns a pipeline takes from the payload
 *
 * A field list is written as the COLUMNS of SQL's XMLTABLE and JSON_TABLE:
 *
 *     name type [ NOT NULL ] [ PATH '$.a."b c"[0]' ] [ DEFAULT constant ] [ EPOCH ms ] , ...
 *
 * where EPOCH stands for any of the settings of reading.h. The list is read by PostgreSQL's own grammar, so that every
 * type name PostgreSQL knows is known here. The path defaults to the key with the field's name as it is written, capitals
 * included; the name itself is folded as SQL folds names. DEFAULT is used for a missing key only: an explicit JSON null is
 * SQL NULL.
 */
#ifndef MR_FIELDS_H
#define MR_FIELDS_H

#include "postgres.h"

#include "decode/reading.h"

#define MR_FIELDS_MAX       1000 /* fields in a list: a row of them must fit a tuple */
#define MR_FIELDS_MAX_STEPS 64   /* steps in a path */

typedef struct MrPathStep
{
	const char *key; /* NULL: an array index */
	int key_length;
	int index;
} MrPathStep;

typedef enum MrFieldSource
{
	MR_FROM_PAYLOAD,
	MR_FROM_KEY,      /* the whole of it */
	MR_FROM_JSON_KEY, /* a value inside */
	MR_FROM_HEADER
} MrFieldSource;

typedef struct MrField
{
	const char *name;
	Oid type_id;
	int32 typmod;
	Oid collation;
	int16 typlen;
	bool typbyval;
	MrReading reading;
	bool not_null;
	bool has_default;
	bool default_is_null;
	Datum default_value; /* of type_id, typmod applied; lives as long as the MrFields */
	MrFieldSource source;
	int step_count; /* 0: the whole document */
	MrPathStep *steps;
	const char *header; /* of MR_FROM_HEADER: its name */
	int header_number;  /* among those of the name, from 0; -1: the last */
} MrField;

typedef struct MrFields
{
	int count;
	MrField *fields;
} MrFields;

/*
 * Parses a field list into the current memory context, resolving type names by the current search_path, and constants by
 * the session's settings, which must be those of the reading (mr_reading_pin). A field's values are read as `reading` says
 * unless the field has options of its own; NULL gives an empty list. Raises an error whose internal query is the list and whose
 * internal position points into it.
 */
extern MrFields *mr_fields_parse(const char *list, const MrReading *reading);

#endif
