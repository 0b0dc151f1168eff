/*
 * fields_default.h - DEFAULT of a field
 */
#ifndef MR_FIELDS_DEFAULT_H
#define MR_FIELDS_DEFAULT_H

#include "parser/parse_node.h"

#include "decode/fields.h"

/*
 * Gives the field the value of a DEFAULT expression; type, NOT NULL and reading of the field are known. Raises an error with the
 * position when it is no constant of that type.
 */
extern void mr_field_default_parse(Node *expression, ParseState *pstate, MrField *field);

#endif
