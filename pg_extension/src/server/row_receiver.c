/*
 * row_receiver.c: see row_receiver.h.
 */
#include "server/row_receiver.h"

static void
start(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

static void
nothing(DestReceiver *self)
{
}

DestReceiver
mr_row_receiver(bool (*receive)(TupleTableSlot *slot, DestReceiver *self))
{
	return (DestReceiver){receive, start, nothing, nothing, DestNone};
}
