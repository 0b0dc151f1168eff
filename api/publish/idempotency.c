#include "api/publish/idempotency.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"

struct MrFingerprint
{
	EVP_MD_CTX *digest;
};

static void must(int result);

bool
mr_idempotency_key_read(MrIdempotencyKey *key, const char *field)
{
	bool is_quoted = *field == '"';
	size_t len = 0;

	for (field += is_quoted; *field != '\0' && !(is_quoted && *field == '"'); field++)
	{
		if (is_quoted && *field == '\\' && *++field != '"' && *field != '\\')
			return false;
		/* a bare text ends where a list or parameters would begin */
		if (*field < ' ' || *field > '~' || (!is_quoted && strchr(" \",;\\", *field) != NULL) ||
			len == MR_IDEMPOTENCY_KEY_MAX)
			return false;
		key->text[len++] = *field;
	}
	key->text[len] = '\0';
	return len > 0 && (is_quoted ? strcmp(field, "\"") == 0 : *field == '\0');
}

MrFingerprint *
mr_fingerprint_new(void)
{
	MrFingerprint *fingerprint = mr_calloc(1, sizeof(*fingerprint));

	fingerprint->digest = EVP_MD_CTX_new();
	must(fingerprint->digest != NULL && EVP_DigestInit_ex(fingerprint->digest, EVP_sha256(), NULL));
	return fingerprint;
}

void
mr_fingerprint_add(MrFingerprint *fingerprint, const void *text, size_t len)
{
	uint64_t size = text != NULL ? len : UINT64_MAX;
	unsigned char bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (unsigned char) (size >> (8 * (7 - i)));
	must(EVP_DigestUpdate(fingerprint->digest, bytes, sizeof(bytes)));
	if (text != NULL)
		must(EVP_DigestUpdate(fingerprint->digest, text, len));
}

void
mr_fingerprint_end(MrFingerprint *fingerprint, unsigned char out[MR_FINGERPRINT_SIZE])
{
	must(EVP_DigestFinal_ex(fingerprint->digest, out, NULL));
	EVP_MD_CTX_free(fingerprint->digest);
	free(fingerprint);
}

void
mr_idempotency_uuid(char uuid[MR_UUID_SIZE], const MrIdempotencyKey *key, const char *client,
					int number)
{
	MrFingerprint *name = mr_fingerprint_new();
	unsigned char bytes[MR_FINGERPRINT_SIZE];
	unsigned char digits[4];

	for (int i = 0; i < 4; i++)
		digits[i] = (unsigned char) ((unsigned) number >> (8 * (3 - i)));
	mr_fingerprint_add(name, client, strlen(client));
	mr_fingerprint_add(name, key->text, strlen(key->text));
	mr_fingerprint_add(name, key->fingerprint, sizeof(key->fingerprint));
	mr_fingerprint_add(name, digits, sizeof(digits));
	mr_fingerprint_end(name, bytes);
	mr_uuid_format(uuid, bytes, 8);
}

/* What fails here is memory, or a library without SHA-256: two requests would be taken for one. */
static void
must(int result)
{
	if (result != 1)
		abort();
}
