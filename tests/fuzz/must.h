/* What a harness claims of every input: where it does not hold, the fuzzer keeps the input. */
#ifndef MR_FUZZ_MUST_H
#define MR_FUZZ_MUST_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline void
must(int truth)
{
	if (!truth)
		abort();
}

/* A copy that ends with NUL, and whose end the sanitizer knows; freed by the caller. */
static inline char *
text_of(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1);

	must(text != NULL);
	if (len > 0)
		memcpy(text, data, len);
	text[len] = '\0';
	return text;
}

#endif
