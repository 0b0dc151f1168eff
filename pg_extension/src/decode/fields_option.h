/*
 * fields_option.h - what a field list says of reading a field's values
 *
 * Behind the type of a field, among NOT NULL, PATH and DEFAULT: EPOCH 'ms', DATE_ORDER DMY and so on, the settings of
 * reading.h. The grammar that reads the rest of the list does not know them, so they are taken out of it first.
 */
#ifndef MR_FIELDS_OPTION_H
#define MR_FIELDS_OPTION_H

#include "nodes/pg_list.h"

typedef struct MrFieldOption
{
	int column; /* from 0 */
	char *name; /* as it is written */
	char *value;
	int location; /* byte of the list */
} MrFieldOption;

/* The list with spaces where its options were: positions stay. *options: of MrFieldOption, in their order. */
extern char *mr_field_options_take(const char *list, List **options);

/* Whether an option says something of values of the type, its elements or its base type. */
extern bool mr_field_option_is_for(const char *option, Oid type_id);

#endif
