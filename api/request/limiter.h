/*
 * How many requests each client may send in a time: the generic cell rate algorithm (ITU-T I.371, as a token bucket that
 * keeps one time for each client: when its bucket will be full again). One for all threads.
 *
 * Its memory is fixed: a client has one of a few places, by a keyed hash; where all of them are taken the one whose bucket is
 * fullest is forgotten, which can only allow it more. Of IPv6 a client is a network of 64 bits, since it has all of it.
 */
#ifndef MR_API_LIMITER_H
#define MR_API_LIMITER_H

#include <stdint.h>

typedef struct MrLimiter MrLimiter;

/* `number` requests in per_ms, and `burst` at once after a pause. NULL when number is 0: there is no limit. */
extern MrLimiter *mr_limiter_new(int64_t number, int64_t per_ms, int64_t burst);
/* Takes one of the client's requests; 0: it may be served, else in how many ms the next may be. */
extern int64_t mr_limiter_take(MrLimiter *limiter, const char *client, int64_t now_us);
extern void mr_limiter_free(MrLimiter *limiter);

#endif
