/*
 * decode_field.h - one field's way from a JSON value to a datum, inside decode
 *
 * decode.c makes a MrDecodeField per field and calls its convert function; decode_<types>.c hold the
 * functions; decode_pick.c chooses among them.
 */
#ifndef MR_DECODE_FIELD_H
#define MR_DECODE_FIELD_H

#include "fmgr.h"

#include "server/failure.h"
#include "decode/json_scan.h"
#include "decode/reading.h"

typedef struct MrDecodeField MrDecodeField;

/* slot is neither missing nor null. Returns NULL when *value is set. */
typedef MrFailure *(*MrConvert)(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);

/* The chunk that holds an event's variable-length values; see mr_decode. */
typedef struct MrArena
{
	char *next;
	Size left;
} MrArena;

struct MrDecodeField
{
	MrConvert convert;
	MrArena *arena;
	const char *name;      /* of the field, as messages say it; NULL: the payload as such */
	const char *type_name; /* of the field: an array's element says its array's */
	const char
		*expected; /* "an integer": what should have been found; NULL: the type itself knows */
	Oid type_id;
	int32 typmod;
	bool is_json;    /* takes arrays and objects as they are */
	bool in_arena;   /* its value goes to the arena */
	bool inside;     /* is an array's element */
	bool has_time;   /* dates or times are inside it, and its input function reads them */
	Oid time_inside; /* their type, when it is one */
	const MrReading *reading;
	FmgrInfo input;      /* input function of type_id */
	Oid input_param;     /* and its second argument */
	MrDecodeField *base; /* domain: its base type; array: its element type; else NULL */
	int16 element_length;
	bool element_by_value;
	char element_align;
	void *domain_cache;    /* of domain_check */
	MemoryContext context; /* the decoder's */
};

/* decode_pick.c: fills a field of the given type (all of it but name, type_name, arena, reading). */
extern void mr_decode_pick(MrDecodeField *field, Oid type_id, int32 typmod);

/*
 * decode_pick.c: whether the input function of the type reads dates or times: of its own, or inside of arrays, ranges and rows.
 * *which: their type, InvalidOid in a row, where they may differ.
 */
extern bool mr_type_has_time(Oid type_id, Oid *which);

/* decode_text.c */
extern MrFailure *mr_convert_text(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
extern MrFailure *mr_convert_varchar(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
extern MrFailure *mr_convert_bpchar(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
extern MrFailure *mr_convert_json(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
extern MrFailure *mr_convert_jsonb(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
extern MrFailure *mr_jsonb_refusal(const MrDecodeField *field, const MrJsonSlot *slot);

/* decode_bytes.c */
extern MrFailure *mr_convert_uuid(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
extern MrFailure *mr_convert_bytea(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);

/* Base64 of either alphabet to `out`, which has room for as many bytes; returns how many there are, -1: it is none. */
extern int mr_unbase64(const char *p, const char *end, unsigned char *out);

/* decode_number.c */
extern MrFailure *mr_convert_boolean(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
extern MrFailure *mr_convert_integer(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
extern MrFailure *mr_convert_float8(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
extern MrFailure *mr_convert_float4(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
extern MrFailure *mr_convert_numeric(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
extern MrFailure *mr_convert_money(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);

/* number_text.c: a string by its number style as one that every program reads, for a string of that length or shorter */
extern bool mr_number_to_plain(MrNumberStyle style, const char *text, int length, char *plain);

/* decode_time.c; mr_convert_timestamp is for time, too */
extern MrFailure *mr_convert_date(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
extern MrFailure *mr_convert_timestamp(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
extern MrFailure *mr_convert_timestamptz(MrDecodeField *field, const MrJsonSlot *slot,
										 Datum *value);
extern MrFailure *mr_convert_timetz(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
extern MrFailure *mr_convert_interval(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);

/* decode_time_text.c: of a string with dates or times inside, for an input function: why it is refused, or NULL */
extern MrFailure *mr_decode_check_inside(const MrDecodeField *field, const MrJsonSlot *slot,
										 const char *string);

/* decode_array.c */
extern MrFailure *mr_convert_array(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);

/* decode_scratch.c: runs `convert`, and keeps of its memory only the value, which is a varlena, or the failure */
extern MrFailure *mr_decode_in_scratch(MrDecodeField *field, const MrJsonSlot *slot,
									   MrConvert convert, Datum *value);

/* decode_input.c: by the type's own code, in a subtransaction */
extern MrFailure *mr_convert_input(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
extern MrFailure *mr_decode_by_input(MrDecodeField *field, const MrJsonSlot *slot, char *string,
									 Datum *value);
extern MrFailure *mr_convert_domain(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
extern MrFailure *mr_check_domain(MrDecodeField *field, const MrJsonSlot *slot, Datum value,
								  bool isnull);

/*
 * Runs work(field, argument) in a subtransaction, with the server reading dates, times and intervals as the field does; an error it raises becomes the failure, unless it is
 * not of the data. slot is for the message, and may be NULL.
 */
typedef Datum (*MrWork)(MrDecodeField *field, void *argument);
extern MrFailure *mr_decode_guarded(MrDecodeField *field, const MrJsonSlot *slot, MrWork work,
									void *argument, Datum *value);

/* decode_message.c: failures. slot NULL: the field as such. */
extern MrFailure *mr_decode_wrong(const MrDecodeField *field, const MrJsonSlot *slot, int sqlstate,
								  const char *expected);
extern MrFailure *mr_decode_trouble(const MrDecodeField *field, const MrJsonSlot *slot,
									int sqlstate, const char *trouble);
extern MrFailure *mr_decode_refused(const MrDecodeField *field, const MrJsonSlot *slot,
									const ErrorData *edata);
extern MrFailure *mr_decode_nul(const MrDecodeField *field, const MrJsonSlot *slot);
extern MrFailure *mr_decode_syntax(const char *bytes, int length, const MrJsonError *error);

/* Room for a variable-length value, from the arena while it lasts. */
static inline void *
mr_decode_alloc(MrDecodeField *field, Size size)
{
	MrArena *arena = field->arena;
	Size room = MAXALIGN(size);

	if (likely(room <= arena->left))
	{
		char *p = arena->next;

		arena->next += room;
		arena->left -= room;
		return p;
	}
	return palloc(size);
}

/* A string, number or boolean slot's characters with a final NUL, palloc'ed. The slot must have no \u0000. */
extern char *mr_decode_cstring(const MrJsonSlot *slot, int *length);

#endif
