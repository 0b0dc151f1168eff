/*
 * decode_scratch.c - conversions that leave more behind than their value
 *
 * The parse of a jsonb, and the elements of an array, take some ten times the memory of the value; all events of a batch
 * are decoded before any memory is freed.
 */
#include "postgres.h"

#include "server/scratch.h"

#include "decode/decode_field.h"

static Datum copy_of(Datum value);

MrFailure *
mr_decode_in_scratch(MrDecodeField *field, const MrJsonSlot *slot, MrConvert convert, Datum *value)
{
	MrScratch scratch = mr_scratch_enter();
	MrFailure *failure = convert(field, slot, value);

	mr_scratch_leave(&scratch);
	if (failure != NULL)
		failure = mr_failure_copy(failure);
	else
		*value = copy_of(*value);
	mr_scratch_free(&scratch);
	return failure;
}

static Datum
copy_of(Datum value)
{
	struct varlena *bytes = (struct varlena *) DatumGetPointer(value);

	return PointerGetDatum(memcpy(palloc(VARSIZE_ANY(bytes)), bytes, VARSIZE_ANY(bytes)));
}
