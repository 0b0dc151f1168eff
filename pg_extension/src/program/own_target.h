/*
 * own_target.h: a transform must not read the table it is written to.
 */
#ifndef MR_OWN_TARGET_H
#define MR_OWN_TARGET_H

#include "program/program.h"

/*
 * Raises an error when the transform, delete_when or merge reads the program's target, one of its partitions or what it is
 * a partition of, directly or through views. What a function reads cannot be seen.
 */
extern void mr_refuse_own_target(MrProgram *program);

#endif /* MR_OWN_TARGET_H */
