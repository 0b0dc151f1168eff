/*
 * Bytes of a cursor: version, direction, time, NUL, id, NUL, the first 16 bytes of the HMAC of what is before it and
 * the filters.
 */
#include "api/request/cursor.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>

#define VERSION   1
#define MAC_BYTES 16
#define TEXT_MAX  2048

static void sign(unsigned char *mac, const MrCursorSecret *secret, const char *filters,
				 const void *data, size_t len);
static void put_base64url(MrBuffer *out, const unsigned char *data, size_t len);
static bool get_base64url(MrBuffer *out, const char *text, size_t len);
static int digit_of(char c);

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void
mr_cursor_secret_make(MrCursorSecret *secret, const char *text)
{
	unsigned int len = sizeof(secret->bytes);

	if (text == NULL || *text == '\0')
		text = RAND_bytes(secret->bytes, sizeof(secret->bytes)) == 1 ? NULL : "";
	if (text != NULL &&
		EVP_Digest(text, strlen(text), secret->bytes, &len, EVP_sha256(), NULL) != 1)
		abort(); /* no SHA-256 in the library: nothing could be signed */
}

void
mr_cursor_write(MrBuffer *out, const MrCursorSecret *secret, const char *filters, bool backward,
				const char *time, const char *id)
{
	MrBuffer data = {0};
	unsigned char mac[EVP_MAX_MD_SIZE];

	mr_buffer_append(&data, "\1", 1);
	mr_buffer_append(&data, backward ? "\1" : "\0", 1);
	mr_buffer_append(&data, time, strlen(time) + 1);
	mr_buffer_append(&data, id, strlen(id) + 1);
	sign(mac, secret, filters, data.data, data.len);
	mr_buffer_append(&data, mac, MAC_BYTES);
	put_base64url(out, (unsigned char *) data.data, data.len);
	mr_buffer_free(&data);
}

bool
mr_cursor_read(MrCursor *cursor, const MrCursorSecret *secret, const char *filters,
			   const char *text)
{
	MrBuffer data = {0};
	unsigned char mac[EVP_MAX_MD_SIZE];
	size_t len = strlen(text);
	bool ok = len <= TEXT_MAX && get_base64url(&data, text, len) && data.len > MAC_BYTES + 4;

	*cursor = (MrCursor){0};
	if (ok)
	{
		data.len -= MAC_BYTES;
		sign(mac, secret, filters, data.data, data.len);
		ok = CRYPTO_memcmp(mac, data.data + data.len, MAC_BYTES) == 0 && data.data[0] == VERSION;
	}
	if (ok)
	{
		/* what we have signed has two terminated texts */
		const char *time = data.data + 2;

		cursor->backward = data.data[1] != 0;
		cursor->time = mr_strdup(time);
		cursor->id = mr_strdup(time + strlen(time) + 1);
	}
	mr_buffer_free(&data);
	return ok;
}

void
mr_cursor_free(MrCursor *cursor)
{
	free(cursor->time);
	free(cursor->id);
	*cursor = (MrCursor){0};
}

static void
sign(unsigned char *mac, const MrCursorSecret *secret, const char *filters, const void *data,
	 size_t len)
{
	MrBuffer all = {0};
	unsigned int mac_len;

	mr_buffer_append(&all, data, len);
	mr_buffer_append(&all, filters, strlen(filters));
	if (HMAC(EVP_sha256(), secret->bytes, sizeof(secret->bytes), (unsigned char *) all.data,
			 all.len, mac, &mac_len) == NULL)
		abort(); /* as above */
	mr_buffer_free(&all);
}

static void
put_base64url(MrBuffer *out, const unsigned char *data, size_t len)
{
	unsigned bits = 0;
	int count = 0;

	for (size_t i = 0; i < len; i++)
	{
		bits = bits << 8 | data[i];
		for (count += 8; count >= 6; count -= 6)
			mr_buffer_append(out, &digits[bits >> (count - 6) & 63], 1);
	}
	if (count > 0)
		mr_buffer_append(out, &digits[bits << (6 - count) & 63], 1);
}

static bool
get_base64url(MrBuffer *out, const char *text, size_t len)
{
	unsigned bits = 0;
	int count = 0;

	for (size_t i = 0; i < len; i++)
	{
		int digit = digit_of(text[i]);

		if (digit < 0)
			return false;
		bits = bits << 6 | (unsigned) digit;
		count += 6;
		if (count >= 8)
		{
			char byte = (char) (bits >> (count - 8));

			mr_buffer_append(out, &byte, 1);
			count -= 8;
		}
	}
	/* the bits left over are none of a byte: a second spelling of the same cursor is refused */
	return count < 6 && (bits & ((1u << count) - 1)) == 0;
}

static int
digit_of(char c)
{
	const char *found = c != '\0' ? strchr(digits, c) : NULL;

	return found != NULL ? (int) (found - digits) : -1;
}
