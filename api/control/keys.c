#include "api/control/keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define KEYS_MAX   1000
#define RANDOM     24 /* bytes of a key */
#define SPACE      " \t"
#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@-"

static bool read_line(MrKey *key, char *line, const char **why);
static bool read_name(char name[MR_KEY_NAME_MAX + 1], const char *text);
static bool read_hash(unsigned char hash[MR_KEY_HASH], const char *text);
static const MrKey *find_hash(const MrKeys *keys, const unsigned char hash[MR_KEY_HASH]);
static void hash_of(unsigned char hash[MR_KEY_HASH], const char *key, size_t len);
static void put_hex(MrBuffer *out, const unsigned char *bytes, int count);

static const struct
{
	const char *name;
	unsigned scope;
} scope_names[] = {{"read", MR_SCOPE_READ},
				   {"publish", MR_SCOPE_PUBLISH},
				   {"operate", MR_SCOPE_OPERATE}};
#define SCOPES (sizeof(scope_names) / sizeof(scope_names[0]))

MrKeys *
mr_keys_read(const char *text, size_t len, char *error, size_t error_size)
{
	MrKeys *keys = mr_calloc(1, sizeof(*keys));
	const char *end = text + len;
	const char *why = NULL;
	int number = 0;

	while (text < end && why == NULL)
	{
		const char *newline = memchr(text, '\n', (size_t) (end - text));
		size_t length = newline != NULL ? (size_t) (newline - text) : (size_t) (end - text);
		char *line = mr_calloc(1, length + 1);
		MrKey key = {0};

		memcpy(line, text, length);
		text += length + 1;
		number++;
		if (line[strspn(line, SPACE "\r")] != '\0' && line[strspn(line, SPACE)] != '#' &&
			read_line(&key, line, &why))
		{
			if (find_hash(keys, key.hash) != NULL)
				why = "the key has a line before this one";
			else if (keys->count >= KEYS_MAX)
				why = "there are more than 1000 keys";
			else
			{
				keys->items =
					mr_realloc(keys->items, sizeof(*keys->items) * (size_t) (keys->count + 1));
				keys->items[keys->count++] = key;
			}
		}
		free(line);
	}
	if (why == NULL)
		return keys;
	snprintf(error, error_size,
			 "line %d: %s; expected NAME SCOPE[,SCOPE...] HASH, with the scopes read, publish and "
			 "operate, and the SHA-256 of the key in hexadecimal",
			 number, why);
	mr_keys_free(keys);
	return NULL;
}

void
mr_keys_free(MrKeys *keys)
{
	if (keys == NULL)
		return;
	free(keys->items);
	free(keys);
}

const MrKey *
mr_keys_find(const MrKeys *keys, const char *authorization)
{
	unsigned char hash[MR_KEY_HASH];
	const char *key;

	if (strncasecmp(authorization, "Bearer ", 7) != 0)
		return NULL;
	key = authorization + 7 + strspn(authorization + 7, " ");
	hash_of(hash, key, strlen(key));
	return find_hash(keys, hash);
}

bool
mr_keys_allow(const MrKeys *keys, const MrKey *key, unsigned scopes)
{
	const MrKey *found = keys != NULL ? find_hash(keys, key->hash) : NULL;

	return found != NULL && (found->scopes & scopes) == scopes;
}

bool
mr_scopes_read(unsigned *scopes, const char *text)
{
	*scopes = 0;
	for (;; text++)
	{
		size_t len = strcspn(text, ",");
		unsigned found = 0;

		for (size_t i = 0; i < SCOPES; i++)
			if (strlen(scope_names[i].name) == len && strncmp(scope_names[i].name, text, len) == 0)
				found = scope_names[i].scope;
		*scopes |= found;
		text += len;
		if (found == 0 || *text == '\0')
			return found != 0;
	}
}

const char *
mr_scope_name(unsigned scope)
{
	for (size_t i = 0; i < SCOPES; i++)
		if (scope_names[i].scope == scope)
			return scope_names[i].name;
	return "";
}

bool
mr_key_make(MrBuffer *key, MrBuffer *line, const char *spec)
{
	unsigned char bytes[RANDOM];
	unsigned char hash[MR_KEY_HASH];
	char name[MR_KEY_NAME_MAX + 1];
	size_t len = strcspn(spec, ":");
	unsigned scopes;

	if (spec[len] != ':' || len > MR_KEY_NAME_MAX || !mr_scopes_read(&scopes, spec + len + 1))
		return false;
	memcpy(name, spec, len);
	name[len] = '\0';
	if (!read_name(name, name))
		return false;
	if (RAND_bytes(bytes, RANDOM) != 1)
		abort(); /* keys could be guessed */
	mr_buffer_printf(key, "mr_");
	put_hex(key, bytes, RANDOM);
	hash_of(hash, key->data, key->len);
	mr_buffer_printf(line, "%s %s ", name, spec + len + 1);
	put_hex(line, hash, MR_KEY_HASH);
	return true;
}

static bool
read_line(MrKey *key, char *line, const char **why)
{
	char *rest;
	const char *name = strtok_r(line, SPACE "\r", &rest);
	const char *scopes = strtok_r(NULL, SPACE "\r", &rest);
	const char *hash = strtok_r(NULL, SPACE "\r", &rest);

	if (hash == NULL || strtok_r(NULL, SPACE "\r", &rest) != NULL)
		*why = "it does not have three parts";
	else if (!read_name(key->name, name))
		*why = "the name is longer than 40 characters, or has others than letters, digits and _.@-";
	else if (!mr_scopes_read(&key->scopes, scopes))
		*why = "a scope is not known";
	else if (!read_hash(key->hash, hash))
		*why = "the hash does not have 64 hexadecimal digits";
	return *why == NULL;
}

static bool
read_name(char name[MR_KEY_NAME_MAX + 1], const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > MR_KEY_NAME_MAX || strspn(text, NAME_CHARS) != len)
		return false;
	memmove(name, text, len + 1);
	return true;
}

static bool
read_hash(unsigned char hash[MR_KEY_HASH], const char *text)
{
	static const char digits[] = "0123456789abcdefABCDEF";

	if (strlen(text) != (size_t) MR_KEY_HASH * 2 || strspn(text, digits) != strlen(text))
		return false;
	for (int i = 0; i < MR_KEY_HASH; i++)
	{
		const char byte[] = {text[2 * i], text[2 * i + 1], '\0'};

		hash[i] = (unsigned char) strtol(byte, NULL, 16);
	}
	return true;
}

/* All are looked at, whether one fits or not: the time shows nothing. */
static const MrKey *
find_hash(const MrKeys *keys, const unsigned char hash[MR_KEY_HASH])
{
	const MrKey *found = NULL;

	for (int i = 0; i < keys->count; i++)
		if (CRYPTO_memcmp(keys->items[i].hash, hash, MR_KEY_HASH) == 0)
			found = &keys->items[i];
	return found;
}

static void
hash_of(unsigned char hash[MR_KEY_HASH], const char *key, size_t len)
{
	if (EVP_Digest(key, len, hash, NULL, EVP_sha256(), NULL) != 1)
		abort(); /* a library without SHA-256 */
}

static void
put_hex(MrBuffer *out, const unsigned char *bytes, int count)
{
	for (int i = 0; i < count; i++)
		mr_buffer_printf(out, "%02x", bytes[i]);
}
