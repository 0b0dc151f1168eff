/*
 * type_field.h: the column of event that has the type of an event, for counters by type.
 */
#ifndef MR_TYPE_FIELD_H
#define MR_TYPE_FIELD_H

#include "postgres.h"

#include "fmgr.h"

#include "pipeline/pipeline.h"
#include "program/event_relation.h"

typedef struct MrTypeField
{
	int column;       /* of event, from 0 */
	bool is_text;     /* the value's bytes are the name */
	FmgrInfo to_text; /* else its output function */
} MrTypeField;

/*
 * NULL: the definition names none. In the current memory context; the relation's decoder reads the field even of events that
 * fail. An error when event has no such column, or one that is no name of anything.
 */
extern MrTypeField *mr_type_field_create(const MrDefinition *definition, MrEventRelation *relation);

/*
 * The type of an event as its values have it, valid as long as they or as the current memory context; NULL: it has none, or
 * was not read.
 */
extern const char *mr_type_field_read(MrTypeField *field, const MrEvent *event, int *length);

/*
 * It will be read soon. The values of a large batch are no longer in the processor's cache when it is settled: waiting for them was the
 * largest part of what counting by type costs.
 */
static pg_attribute_always_inline void
mr_type_field_prefetch(const MrTypeField *field, const MrEvent *event)
{
	if (event->values == NULL)
		return;
	__builtin_prefetch(&event->isnull[field->column]);
	__builtin_prefetch(&event->values[field->column]);
}

#endif /* MR_TYPE_FIELD_H */
