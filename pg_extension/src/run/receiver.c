/*
 * receiver.c: see receiver.h. Lives on the stack of a run.
 */
#include "run/receiver.h"

#include "server/row_receiver.h"

void
mr_receiver_init(MrReceiver *receiver, bool (*receive)(TupleTableSlot *slot, DestReceiver *self),
				 MrProgram *program, MrBatch *batch)
{
	receiver->pub = mr_row_receiver(receive);
	receiver->program = program;
	receiver->batch = batch;
}
