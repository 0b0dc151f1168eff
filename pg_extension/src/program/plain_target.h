/*
 * plain_target.h: which targets are plain: nothing can happen there but the insert itself.
 */
#ifndef MR_PLAIN_TARGET_H
#define MR_PLAIN_TARGET_H

#include "program/program.h"
#include "utils/rel.h"

/*
 * Whether the target is an ordinary table without triggers, rules, generated columns or row security, and the
 * pipeline has no conflict rule: rows go in a page at a time then (run/insert_direct.h), elsewhere by a
 * planned INSERT (run/write.c).
 */
extern bool mr_target_is_plain(const MrProgram *program, Relation target);

#endif /* MR_PLAIN_TARGET_H */
