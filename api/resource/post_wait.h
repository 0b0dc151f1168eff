/* How long POST /events waits for its event: wait=processed and timeout. Pure, as is the answer that it makes. */
#ifndef MR_API_POST_WAIT_H
#define MR_API_POST_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "api/request/params.h"
#include "common/buffer.h"

#define MR_WAIT_DEFAULT_MS 10000
#define MR_WAIT_MAX_MS     60000

/* Whether a parameter says how the request is answered, and not what its event is. */
extern bool mr_post_wait_is_own(const char *name);
/*
 * *wait_ms: 0 when it does not wait. timeout is a number of seconds, or has a unit, ms or s. False: one of them is not valid,
 * `detail` says what it is.
 */
extern bool mr_post_wait_read(const MrParams *params, int64_t *wait_ms, char *detail,
							  size_t detail_size) __attribute__((warn_unused_result));
/* Adds the states of the event, a JSON array, to the object that `body` is. */
extern void mr_post_wait_add(MrBuffer *body, const char *pipelines);

#endif
