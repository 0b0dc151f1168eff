/*
 * Keys of clients and what each allows. A file has a line for each: NAME SCOPE[,SCOPE...] HASH, with the SHA-256 of the
 * key in hexadecimal: who reads the file has no key. Keys are random and long, so that a fast hash is enough; they are
 * compared in constant time. Pure, but for mr_key_make().
 */
#ifndef MR_API_KEYS_H
#define MR_API_KEYS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common/buffer.h"

/* Bits: what a route needs, and what a key allows. */
#define MR_SCOPE_READ    1u
#define MR_SCOPE_PUBLISH 2u
#define MR_SCOPE_OPERATE 4u

#define MR_KEY_NAME_MAX 40
#define MR_KEY_HASH     32

typedef struct MrKey
{
	char name[MR_KEY_NAME_MAX + 1]; /* whose it is; several keys may have the same */
	unsigned scopes;
	unsigned char hash[MR_KEY_HASH];
} MrKey;

typedef struct MrKeys
{
	MrKey *items;
	int count;
} MrKeys;

/* Those that hold now; NULL: the service has no keys. */
typedef _Atomic(const MrKeys *) MrSharedKeys;

/* Reads the text of a file. NULL: `error` names the line, and what is wrong. */
extern MrKeys *mr_keys_read(const char *text, size_t len, char *error, size_t error_size)
	__attribute__((warn_unused_result));
extern void mr_keys_free(MrKeys *keys);
/* The key of an Authorization header field, "Bearer KEY"; NULL: there is no such key, or the field has another form. */
extern const MrKey *mr_keys_find(const MrKeys *keys, const char *authorization);
/* Is a key of an older list among these, with all of the scopes? */
extern bool mr_keys_allow(const MrKeys *keys, const MrKey *key, unsigned scopes);

/* "read", "publish", "operate", separated by commas. False: another word, or none. */
extern bool mr_scopes_read(unsigned *scopes, const char *text);
/* The name of one scope. */
extern const char *mr_scope_name(unsigned scope);

/* Writes a new random key, and the line for the file. spec: "NAME:SCOPE[,SCOPE...]"; false: it is of another form. */
extern bool mr_key_make(MrBuffer *key, MrBuffer *line, const char *spec);

#endif
