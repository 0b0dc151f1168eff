/*
 * error_class.h: which action a failure asks for, by the editable table millrace.error_class.
 */
#ifndef MR_ERROR_CLASS_H
#define MR_ERROR_CLASS_H

#include "server/failure.h"

typedef enum MrAction
{
	MR_ACTION_DEAD_LETTER, /* permanent: also what nothing in the table matches */
	MR_ACTION_RETRY,
	MR_ACTION_BREAK /* maybe no event's fault: a hypothesis, see verdict.c */
} MrAction;

/*
 * The action for a failure of the pipeline. The most specific row decides: of the pipeline before any, with
 * the failure's constraint before without, five characters before two, made by a user before built in.
 */
extern MrAction mr_error_class_action(int32 pipeline_id, const MrFailure *failure);

#endif /* MR_ERROR_CLASS_H */
