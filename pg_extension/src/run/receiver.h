/*
 * receiver.h: a DestReceiver that hands each row of a plan to a function of ours, with the batch.
 */
#ifndef MR_RECEIVER_H
#define MR_RECEIVER_H

#include "postgres.h"

#include "tcop/dest.h"

#include "program/program.h"

typedef struct MrReceiver
{
	DestReceiver pub;
	MrProgram *program;
	MrBatch *batch;
} MrReceiver;

/* `receive` is called for each row, with the receiver as its second argument; true: go on. */
extern void mr_receiver_init(MrReceiver *receiver,
							 bool (*receive)(TupleTableSlot *slot, DestReceiver *self),
							 MrProgram *program, MrBatch *batch);

#endif /* MR_RECEIVER_H */
