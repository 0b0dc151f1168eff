/*
 * process.h: what happens to the events of a batch between their admission and its settling.
 */
#ifndef MR_PROCESS_H
#define MR_PROCESS_H

#include "engine/engine.h"

/*
 * Decodes, transforms and writes the events of engine->batch, and judges those that fail; every event has its
 * outcome then. Raises what is no event's fault.
 */
extern void mr_engine_process(MrEngine *engine);

#endif /* MR_PROCESS_H */
