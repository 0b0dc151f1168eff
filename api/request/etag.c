#include "api/request/etag.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GZIP_END "-gzip\""

/* Looked up once: the library would search its providers for each tag. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;

static void fetch(void);

void
mr_etag_make(char tag[MR_ETAG_SIZE], const void *body, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char hash[EVP_MAX_MD_SIZE];

	pthread_once(&once, fetch);
	if (sha256 == NULL || EVP_Digest(body, len, hash, NULL, sha256, NULL) != 1)
		abort(); /* a library without SHA-256 */
	tag[0] = '"';
	for (int i = 0; i < 16; i++)
	{
		tag[1 + 2 * i] = digits[hash[i] >> 4];
		tag[2 + 2 * i] = digits[hash[i] & 15];
	}
	memcpy(tag + 33, "\"", 2);
}

void
mr_etag_gzip(char variant[MR_ETAG_VARIANT_SIZE], const char *tag)
{
	snprintf(variant, MR_ETAG_VARIANT_SIZE, "%.33s" GZIP_END, tag);
}

bool
mr_etag_matches(const char *if_none_match, const char *tag)
{
	size_t len = strlen(tag) - 1; /* without the quote at its end */

	if (if_none_match == NULL)
		return false;
	for (const char *at = if_none_match; *at != '\0';)
	{
		at += strspn(at, " \t,");
		if (strncmp(at, "W/", 2) == 0)
			at += 2;
		if (*at == '*' && at[1 + strspn(at + 1, " \t")] == '\0')
			return true;
		if (strncmp(at, tag, len) == 0 &&
			(at[len] == '"' || strncmp(at + len, GZIP_END, strlen(GZIP_END)) == 0))
			return true;
		if (*at == '"')
		{
			const char *end = strchr(at + 1, '"');

			if (end == NULL)
				return false;
			at = end + 1;
		}
		else
			at += strcspn(at, ",");
	}
	return false;
}

static void
fetch(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}
