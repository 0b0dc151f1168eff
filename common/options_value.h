/*
 * Parsing and storing one option's value; the inner half of options.c, apart from where the value
 * came from.
 */
#ifndef MR_COMMON_OPTIONS_VALUE_H
#define MR_COMMON_OPTIONS_VALUE_H

#include "common/options.h"

typedef struct MrOptionLoad
{
	const MrOptionTable *table;
	void *settings;
	char *error;
	size_t error_size;
	uint64_t flagged; /* lists that a flag was given for: a bit each, by their place in the table */
} MrOptionLoad;

/* where = NULL: a flag. A list's first flag replaces what other sources gave; the flags add up. */
extern bool mr_option_set(MrOptionLoad *load, const MrOption *option, const char *value,
						  const char *where);
extern bool mr_option_set_from_file(MrOptionLoad *load, const MrOption *option, const char *path,
									const char *where);
extern bool mr_option_set_property(MrOptionLoad *load, const MrOption *option, const char *name,
								   const char *value, const char *where);
extern bool mr_option_set_property_from_file(MrOptionLoad *load, const MrOption *option,
											 const char *name, const char *path, const char *where);
extern const MrOption *mr_option_properties(const MrOptionTable *table);
/* Writes the message; always false. */
extern bool mr_option_fail(MrOptionLoad *load, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
