/*
 * foreign.h: what may stand in a view that anybody reads.
 */
#ifndef MR_WINDOW_FOREIGN_H
#define MR_WINDOW_FOREIGN_H

#include "postgres.h"

#include "nodes/nodes.h"

/*
 * Whether an expression around aggregates may run anything but the server's own functions, and those of the extensions hll and tdigest, on the values of these. Views over
 * windows are read by anybody, and what a user wrote runs as the pipeline's owner only: it is not left to the view then. Nor
 * is what is not known here.
 */
extern bool mr_window_is_foreign(Node *expression);

#endif /* MR_WINDOW_FOREIGN_H */
