/*
 * verdict.h: which of a batch's failures are tried again, which are dead letters, and which are nobody's fault.
 */
#ifndef MR_VERDICT_H
#define MR_VERDICT_H

#include "pipeline/breaker.h"
#include "pipeline/pipeline.h"
#include "program/batch.h"

/* Why a dead letter is one, as in millrace.dead_letter.ended. */
typedef enum MrEnd
{
	MR_END_PERMANENT, /* trying again is of no use */
	MR_END_EXHAUSTED, /* max_retries */
	MR_END_TOO_OLD,   /* retry_age */
	MR_END_CRASHED    /* it brought the server down, more than once */
} MrEnd;

/*
 * Turns failed events (MR_DEAD) into MR_RETRYING where their error class says so and their tries and age allow.
 * Or nobody is blamed, and a failure is raised as trouble of the pipeline: see verdict.c.
 */
extern void mr_verdict(const MrDefinition *definition, MrBatch *batch, const MrBreaker *breaker);

/* Why an event that is MR_DEAD after the verdict has come to its end. */
extern MrEnd mr_verdict_end(const MrDefinition *definition, const MrEvent *event);

/* When an event that is MR_RETRYING is to be tried next. */
extern TimestampTz mr_verdict_next_try(const MrDefinition *definition, const MrEvent *event,
									   TimestampTz now);

#endif /* MR_VERDICT_H */
