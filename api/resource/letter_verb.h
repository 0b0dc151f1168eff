/*
 * The body of POST /dead-letters/replay and /discard as the parameters of a statement: which letters, and what to do with
 * them. Each member has a type of its own; no text of a client's becomes SQL. Pure.
 */
#ifndef MR_API_LETTER_VERB_H
#define MR_API_LETTER_VERB_H

#include <jansson.h>
#include <stdbool.h>

#include "common/buffer.h"

#define MR_LETTER_VALUES 8

typedef enum MrLetterVerbKind
{
	MR_LETTER_REPLAY,
	MR_LETTER_DISCARD
} MrLetterVerbKind;

/* pipeline, ids, fingerprint, sqlstate, dry_run, payload or reason, rate, condition for the audit. */
typedef struct MrLetterVerb
{
	const char *values[MR_LETTER_VALUES];
	json_t *object;
	MrBuffer ids;
	MrBuffer condition;
	char rate[24];
} MrLetterVerb;

/* False: error says what is wrong. It is to be freed either way. */
extern bool mr_letter_verb_read(MrLetterVerb *verb, MrLetterVerbKind kind, const char *body,
								size_t len, char *error, size_t error_size)
	__attribute__((warn_unused_result));
extern void mr_letter_verb_free(MrLetterVerb *verb);

#endif
