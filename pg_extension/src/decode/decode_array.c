/*
 * decode_array.c - JSON arrays to PostgreSQL arrays
 *
 * Elements go through the same code as fields of their type. Nested arrays are dimensions and must be
 * rectangular; for json and jsonb elements they are elements.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/array.h"

#include "decode/decode_field.h"

#define MOST_ELEMENTS (64 * 1024 * 1024) /* their datums take 512 MB */
#define SURELY_FITS   (1024 * 1024)      /* bytes of JSON whose array cannot be over 1 GB */

typedef struct Building
{
	MrDecodeField *field;
	const MrJsonSlot *slot; /* the whole array */
	int leaf_level;         /* levels above the elements, -1: none seen yet */
	int dims[MAXDIM];       /* -1: not known yet */
	Datum *values;
	bool *nulls;
	int count;
	int room;
} Building;

static MrFailure *convert_array(MrDecodeField *field, const MrJsonSlot *slot, Datum *value);
static MrFailure *add_level(Building *b, const MrJsonSlot *array, int level);
static MrFailure *add_element(Building *b, const MrJsonSlot *slot);
static MrFailure *not_rectangular(const Building *b);
static Datum build(MrDecodeField *field, void *building);

MrFailure *
mr_convert_array(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	return mr_decode_in_scratch(field, slot, convert_array, value);
}

static MrFailure *
convert_array(MrDecodeField *field, const MrJsonSlot *slot, Datum *value)
{
	Building b = {.field = field, .slot = slot, .leaf_level = -1, .room = 16};
	MrFailure *failure;

	if (slot->kind == MR_JSON_STRING)
		return mr_convert_input(field, slot, value);
	if (slot->kind != MR_JSON_ARRAY)
		return mr_decode_wrong(field, slot, ERRCODE_INVALID_TEXT_REPRESENTATION, "an array");
	for (int i = 0; i < MAXDIM; i++)
		b.dims[i] = -1;
	b.values = palloc(sizeof(Datum) * b.room);
	b.nulls = palloc(sizeof(bool) * b.room);
	failure = add_level(&b, slot, 0);
	if (failure != NULL)
		return failure;
	if (slot->length > SURELY_FITS)
		return mr_decode_guarded(field, NULL, build, &b, value);
	*value = build(field, &b);
	return NULL;
}

/* Recursion no deeper than MAXDIM. */
static MrFailure *
add_level(Building *b, const MrJsonSlot *array, int level)
{
	MrJsonElements elements;
	MrJsonSlot slot;
	MrFailure *failure = NULL;
	int count = 0;

	if (level == MAXDIM)
		return mr_decode_trouble(b->field, b->slot, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								 psprintf("has more than %d dimensions", MAXDIM));
	mr_json_elements(array, &elements);
	while (failure == NULL && mr_json_next(&elements, &slot))
	{
		CHECK_FOR_INTERRUPTS();
		count++;
		if (slot.kind == MR_JSON_ARRAY && !b->field->base->is_json)
		{
			if (b->leaf_level >= 0 && level >= b->leaf_level)
				return not_rectangular(b);
			failure = add_level(b, &slot, level + 1);
		}
		else
		{
			if (b->leaf_level < 0)
				b->leaf_level = level;
			if (b->leaf_level != level)
				return not_rectangular(b);
			failure = add_element(b, &slot);
		}
	}
	if (failure != NULL)
		return failure;
	if (b->dims[level] >= 0 && b->dims[level] != count)
		return not_rectangular(b);
	b->dims[level] = count;
	return NULL;
}

static MrFailure *
add_element(Building *b, const MrJsonSlot *slot)
{
	MrDecodeField *element = b->field->base;
	MrFailure *failure = NULL;

	if (b->count == b->room)
	{
		if (b->room >= MOST_ELEMENTS)
			return mr_decode_trouble(b->field, b->slot, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
									 "has too many elements");
		b->room *= 2;
		b->values = repalloc(b->values, sizeof(Datum) * b->room);
		b->nulls = repalloc(b->nulls, sizeof(bool) * b->room);
	}
	b->nulls[b->count] = slot->kind == MR_JSON_NULL;
	if (slot->kind != MR_JSON_NULL)
		failure = element->convert(element, slot, &b->values[b->count]);
	else if (element->convert == mr_convert_domain)
		failure = mr_check_domain(element, slot, (Datum) 0, true);
	b->count++;
	if (failure != NULL && failure->detail == NULL)
		failure->detail = psprintf("It is element %d of the array.", b->count);
	return failure;
}

static MrFailure *
not_rectangular(const Building *b)
{
	return mr_decode_trouble(b->field, b->slot, ERRCODE_ARRAY_SUBSCRIPT_ERROR,
							 "has inner arrays that differ in length or depth");
}

static Datum
build(MrDecodeField *field, void *building)
{
	Building *b = building;
	int lower_bounds[MAXDIM];

	if (b->count == 0)
		return PointerGetDatum(construct_empty_array(field->base->type_id));
	for (int i = 0; i < MAXDIM; i++)
		lower_bounds[i] = 1;
	return PointerGetDatum(construct_md_array(b->values, b->nulls, b->leaf_level + 1, b->dims,
											  lower_bounds, field->base->type_id,
											  field->element_length, field->element_by_value,
											  field->element_align));
}
