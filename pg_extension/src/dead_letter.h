/*
 * dead_letter.h: an event that could not become rows, kept with its bytes and the reason.
 */
#ifndef MR_DEAD_LETTER_H
#define MR_DEAD_LETTER_H

#include "utils/rel.h"

#include "batch.h"
#include "pipeline.h"

/* Inserts one into millrace.dead_letter (open as rel). */
extern void mr_dead_letter_insert(Relation rel, const MrDefinition *definition, const MrEvent *event);

#endif /* MR_DEAD_LETTER_H */
