/*
 * fields_path.h - the path of a field: $, key or header, and then .key, ."any key" or [index]
 */
#ifndef MR_FIELDS_PATH_H
#define MR_FIELDS_PATH_H

#include "decode/fields.h"

/*
 * Fills the field's source and steps. Returns NULL, or what is wrong (a message of its own, palloc'ed or constant)
 * with *at the character it is wrong at, from 0.
 */
extern const char *mr_path_parse(const char *path, MrField *field, int *at);

#endif
