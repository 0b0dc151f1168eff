/*
 * Against guessing: an address that has sent too many wrong keys gets no more answers to a key for a while, not to the right one
 * either, since that would show which it is. A key that was right from there within the last day still is: of
 * several clients behind an address one with an old key does not shut out the others. One for all threads; its memory is fixed.
 */
#ifndef MR_API_WRONG_KEYS_H
#define MR_API_WRONG_KEYS_H

#include <stdint.h>

typedef struct MrWrongKeys MrWrongKeys;

/* How many each address (of IPv6 a network of 64 bits) may send per minute. NULL when that is 0: there is no limit. */
extern MrWrongKeys *mr_wrong_keys_new(int64_t per_minute);
/* A request from an address with a key of this name, NULL for a wrong one: 0, or in how many ms it may be sent again. */
extern int64_t mr_wrong_keys_look(MrWrongKeys *keys, const char *client, const char *name,
								  int64_t now_us);
extern void mr_wrong_keys_free(MrWrongKeys *keys);

#endif
