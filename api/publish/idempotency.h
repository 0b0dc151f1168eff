/*
 * Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07) of POST /events: its text, the fingerprint of the request
 * that came with it, and the ids of its events. Pure.
 */
#ifndef MR_API_IDEMPOTENCY_H
#define MR_API_IDEMPOTENCY_H

#include <stdbool.h>
#include <stddef.h>

#include "api/publish/message.h"

#define MR_IDEMPOTENCY_KEY_MAX 255
#define MR_FINGERPRINT_SIZE    32 /* SHA-256 */

/* Equal keys with equal fingerprints are one request. */
typedef struct MrIdempotencyKey
{
	char text[MR_IDEMPOTENCY_KEY_MAX + 1];
	unsigned char fingerprint[MR_FINGERPRINT_SIZE];
} MrIdempotencyKey;

typedef struct MrFingerprint MrFingerprint;

/*
 * Reads the header field: a string of RFC 8941, or the same text bare, as many clients send it. False: it is neither, empty,
 * or longer than MR_IDEMPOTENCY_KEY_MAX.
 */
extern bool mr_idempotency_key_read(MrIdempotencyKey *key, const char *field)
	__attribute__((warn_unused_result));

extern MrFingerprint *mr_fingerprint_new(void);
/* The next part; where one ends counts. text NULL: a part that is not there, which is not an empty one. */
extern void mr_fingerprint_add(MrFingerprint *fingerprint, const void *text, size_t len);
/* Frees it. */
extern void mr_fingerprint_end(MrFingerprint *fingerprint, unsigned char out[MR_FINGERPRINT_SIZE]);

/*
 * The id of an event that has none, the same whenever the request is sent: of version 8 (RFC 9562), from the key, its
 * fingerprint, the name of the client and the number of the event in the request.
 */
extern void mr_idempotency_uuid(char uuid[MR_UUID_SIZE], const MrIdempotencyKey *key,
								const char *client, int number);

#endif
