/*
 * envelopes.h - opening messages of formats in tests, from copies of their exact size
 */
#ifndef MR_TEST_ENVELOPES_H
#define MR_TEST_ENVELOPES_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "decode/format_envelope.h"

#define BLOCKS_MAX 10000

/* What a plan allocates lives until the end of the test. */
static void *blocks[BLOCKS_MAX];
static int block_count;

static inline void *
allocate(size_t size)
{
	assert_true(block_count < BLOCKS_MAX);
	blocks[block_count] = calloc(1, size);
	return blocks[block_count++];
}

static inline int
free_blocks(void **state)
{
	(void) state;
	while (block_count > 0)
		free(blocks[--block_count]);
	return 0;
}

/* An exact-size copy, so that a read past the end is a read past an allocation; as long as the test lives. */
static inline char *
copy_of(const char *bytes, size_t length)
{
	char *copy = allocate(length > 0 ? length : 1);

	memcpy(copy, bytes, length);
	return copy;
}

typedef struct Opened
{
	MrEnvelope envelope;
	MrEnvelopeProblem problem;
	const char *bytes;
	bool fine;
} Opened;

static inline Opened
open_bytes(MrFormatKind kind, const char *bytes, size_t length, const char *headers,
		   size_t headers_length)
{
	MrOpener *opener = mr_opener_create(kind, allocate);
	Opened opened = {.bytes = copy_of(bytes, length)};
	char *packed = headers != NULL ? copy_of(headers, headers_length) : NULL;

	opened.fine = mr_envelope_open(opener, opened.bytes, (int) length, packed, (int) headers_length,
								   &opened.envelope, &opened.problem);
	assert_int_equal(opened.fine, opened.problem.code == MR_ENVELOPE_FINE);
	return opened;
}

static inline Opened
open_text(MrFormatKind kind, const char *text)
{
	return open_bytes(kind, text, strlen(text), NULL, 0);
}

/* The document of a message is this text, or it has none (NULL). */
static inline void
check_document(const Opened *opened, const char *expected)
{
	if (!opened->fine)
		fail_msg("refused with %d", opened->problem.code);
	assert_int_equal(opened->envelope.absent, expected == NULL);
	if (expected == NULL)
		return;
	assert_int_equal(opened->envelope.length, strlen(expected));
	assert_memory_equal(opened->envelope.document, expected, strlen(expected));
}

static inline void
check_problem(MrFormatKind kind, const char *text, MrEnvelopeCode code)
{
	Opened opened = open_text(kind, text);

	if (opened.problem.code != code)
		fail_msg("%s: got %d, expected %d", text, opened.problem.code, code);
}

#endif
