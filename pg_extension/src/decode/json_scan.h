/*
 * json_scan.h - one pass over a JSON document: validate all of it, pick out some of it
 *
 * Plain C without PostgreSQL, so that it can be unit-tested and fuzzed by itself. A plan is a small
 * tree of the paths wanted; scanning a document fills one slot per wanted path with what was found
 * there: the kind, where it lies in the document, and for a number its digits. Slots point into the
 * document. Nothing is copied, nothing allocated, and the stack used depends on the plan only, never on
 * the document.
 *
 * Valid means: RFC 8259, UTF-8 without surrogates or overlong forms, escapes that make whole characters,
 * no byte order mark, one document and nothing after it, nested at most MR_JSON_MAX_DEPTH deep.
 * \u0000 and numbers of any size are valid JSON; whether a value can hold them is for its taker to say.
 *
 * A plan also remembers the order of the keys it last saw, so that the next document's keys are
 * recognised by one comparison each: a plan serves one thread at a time.
 */
#ifndef MR_JSON_SCAN_H
#define MR_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MR_JSON_MAX_DEPTH   512
#define MR_JSON_DEEP        64   /* MR_JSON_IS_DEEP is set beyond */
#define MR_JSON_LONG_DIGITS 1000 /* characters or exponent: MR_JSON_LONG_NUMBER is set beyond */

typedef enum MrJsonKind
{
	MR_JSON_MISSING,
	MR_JSON_NULL,
	MR_JSON_FALSE,
	MR_JSON_TRUE,
	MR_JSON_NUMBER,
	MR_JSON_STRING,
	MR_JSON_ARRAY,
	MR_JSON_OBJECT
} MrJsonKind;

/* Slot flags. For arrays and objects they are set for anything inside. */
#define MR_JSON_ESCAPED     0x01 /* a string has escapes */
#define MR_JSON_NOT_ASCII   0x02 /* a string has bytes over 0x7f */
#define MR_JSON_HAS_NUL     0x04 /* a string has \u0000 */
#define MR_JSON_LONG_NUMBER 0x08 /* a number is longer or larger than anything sensible */
#define MR_JSON_IS_DEEP     0x10 /* nested more than MR_JSON_DEEP levels, counted from the root */
#define MR_JSON_INEXACT     0x20 /* number: more than 19 digits, mantissa is meaningless */
#define MR_JSON_NEGATIVE    0x40 /* number: has a minus sign */

typedef struct MrJsonSlot
{
	uint8_t kind;     /* MrJsonKind */
	uint8_t flags;    /* MR_JSON_... */
	int32_t length;   /* of the raw text; a string's without its quotes */
	int32_t exponent; /* number = mantissa * 10 ^ exponent */
	uint64_t mantissa;
	const char *start;
} MrJsonSlot;

typedef enum MrJsonErrorCode
{
	MR_JSON_FINE,
	MR_JSON_BAD_EMPTY,
	MR_JSON_BAD_BOM,
	MR_JSON_BAD_END,
	MR_JSON_BAD_TOKEN,
	MR_JSON_BAD_KEY,
	MR_JSON_BAD_COLON,
	MR_JSON_BAD_OBJECT,
	MR_JSON_BAD_ARRAY,
	MR_JSON_BAD_NUMBER,
	MR_JSON_BAD_CONTROL,
	MR_JSON_BAD_ESCAPE,
	MR_JSON_BAD_SURROGATE,
	MR_JSON_BAD_UTF8,
	MR_JSON_BAD_DEPTH,
	MR_JSON_BAD_TRAILING
} MrJsonErrorCode;

typedef struct MrJsonError
{
	MrJsonErrorCode code;
	int offset; /* of the offending byte, from 0 */
} MrJsonError;

typedef struct MrJsonPlan MrJsonPlan;

/* Must return zeroed memory and must not fail (or not return). The plan is freed as a whole by its owner. */
typedef void *(*MrJsonAlloc)(size_t size);

extern MrJsonPlan *mr_json_plan_create(MrJsonAlloc alloc);

/* Node 0 is the document. These find or make the node of a key or index below another; key is copied. */
extern int mr_json_plan_key(MrJsonPlan *plan, int node, const char *key, int length);
extern int mr_json_plan_index(MrJsonPlan *plan, int node, int index);

/* Asks for a node's value: its slot number, counting from 0. Asking again gives the same slot. */
extern int mr_json_plan_take(MrJsonPlan *plan, int node);
extern int mr_json_plan_slots(const MrJsonPlan *plan);

/* To be called after the last of these and before the first scan. */
extern void mr_json_plan_ready(MrJsonPlan *plan);

/* Scans a document. On false, *error says why and slots[] is undefined. plan may be NULL: only validate. */
extern bool mr_json_scan(MrJsonPlan *plan, const char *bytes, int length, MrJsonSlot *slots,
						 MrJsonError *error);

/* Scans a document and gives it as one slot. */
extern bool mr_json_scan_whole(const char *bytes, int length, MrJsonSlot *slot, MrJsonError *error);

/* Iterates over the elements of an array slot, which has been validated by the scan that gave it. */
typedef struct MrJsonElements
{
	const char *next;
	const char *end;
} MrJsonElements;

extern void mr_json_elements(const MrJsonSlot *array, MrJsonElements *elements);
extern bool mr_json_next(MrJsonElements *elements, MrJsonSlot *slot);

/* The same over the members of an object slot; the key's slot is that of a string. */
extern bool mr_json_next_member(MrJsonElements *members, MrJsonSlot *key, MrJsonSlot *slot);

/* Takes a key of a document: its path in the form of fields_path.h without the leading $., and what is there. */
#define MR_JSON_PATH_MAX 200 /* bytes of the path */
typedef void (*MrJsonReport)(void *argument, const char *path, const MrJsonSlot *slot);

/* Writes a string's characters, escapes resolved, to out (room for length bytes); returns how many. */
extern int mr_json_unescape(const char *raw, int length, char *out);

/* "an object", "null" and so on, for messages. */
extern const char *mr_json_kind_name(MrJsonKind kind);

/* Is the raw string (with escapes) this key? */
extern bool mr_json_same_key(const char *raw, int length, const char *key, int key_length);

/*
 * For messages: up to max characters of raw bytes, as printable UTF-8 with a final NUL (what does not
 * print becomes \u.... or \x..), "..." when shortened. out needs MR_JSON_PRINT_SIZE(max) bytes.
 */
#define MR_JSON_PRINT_SIZE(max) ((max) *6 + 4)
extern void mr_json_print(const char *raw, int length, int max, char *out);

/* Length of the valid UTF-8 character at p (which is before end), 0 when there is none. */
extern int mr_json_utf8_length(const char *p, const char *end);

#endif
