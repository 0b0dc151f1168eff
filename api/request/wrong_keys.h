/*
 * Against clients that send wrong keys without end: an address that has sent too many is asked to wait, and the log says so. The
 * right key is answered always: it is 192 random bits (api/control/keys.h), which nobody guesses, so that there is nothing to
 * hide, and a client that shares its address with such a one is not shut out. One for all threads; its memory is fixed.
 */
#ifndef MR_API_WRONG_KEYS_H
#define MR_API_WRONG_KEYS_H

#include <stdint.h>

typedef struct MrWrongKeys MrWrongKeys;

/* How many each address (of IPv6 a network of 64 bits) may send per minute. NULL when that is 0: there is no limit. */
extern MrWrongKeys *mr_wrong_keys_new(int64_t per_minute);
/* A request with a wrong key from an address: 0, or in how many ms it may send another. */
extern int64_t mr_wrong_keys_take(MrWrongKeys *keys, const char *client, int64_t now_us);
extern void mr_wrong_keys_free(MrWrongKeys *keys);

#endif
