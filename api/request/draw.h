/* Random bytes for the ids of a trace; each thread draws for many at a time, since each draw costs about the same. */
#ifndef MR_API_DRAW_H
#define MR_API_DRAW_H

#include "api/request/trace.h"

/* MR_TRACE_RANDOM bytes, which nobody else gets; they are there until the thread's next call. */
extern const unsigned char *mr_draw_random(void);

#endif
