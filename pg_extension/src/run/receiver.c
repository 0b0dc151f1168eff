/*
 * receiver.c: see receiver.h. Lives on the stack of a run; there is nothing to start or to shut down.
 */
#include "run/receiver.h"

static void
start(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

static void
nothing(DestReceiver *self)
{
}

void
mr_receiver_init(MrReceiver *receiver, bool (*receive)(TupleTableSlot *slot, DestReceiver *self),
				 MrProgram *program, MrBatch *batch)
{
	receiver->pub = (DestReceiver){receive, start, nothing, nothing, DestNone};
	receiver->program = program;
	receiver->batch = batch;
}
