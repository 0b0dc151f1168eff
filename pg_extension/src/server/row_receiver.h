/*
 * row_receiver.h: a DestReceiver that only takes rows: there is nothing to start, to shut down or to destroy.
 */
#ifndef MR_ROW_RECEIVER_H
#define MR_ROW_RECEIVER_H

#include "postgres.h"

#include "tcop/dest.h"

/*
 * `receive` is called for each row, with the receiver as its second argument: the first member of a struct that has what
 * it needs besides; true: go on.
 */
extern DestReceiver mr_row_receiver(bool (*receive)(TupleTableSlot *slot, DestReceiver *self));

#endif /* MR_ROW_RECEIVER_H */
