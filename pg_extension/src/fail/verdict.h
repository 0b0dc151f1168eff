/*
 * verdict.h: which of a batch's failures are tried again, which are dead letters, and which are no event's fault.
 */
#ifndef MR_VERDICT_H
#define MR_VERDICT_H

#include "pipeline/breaker.h"
#include "pipeline/pipeline.h"
#include "program/batch.h"

/*
 * Every failed event (MR_FAILED) becomes MR_RETRYING, where its error class says so and its tries and its age allow it,
 * or MR_DEAD. Or nobody is blamed, and a failure is raised as trouble of the pipeline: see verdict.c.
 */
extern void mr_verdict(const MrDefinition *definition, MrBatch *batch, const MrBreaker *breaker,
					   const MrLoneFailures *lone);

/* When an event that is MR_RETRYING is to be tried next. */
extern TimestampTz mr_verdict_next_try(const MrDefinition *definition, const MrEvent *event,
									   TimestampTz now);

#endif /* MR_VERDICT_H */
