/*
 * decode_pick.c - which code reads a type
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "decode/decode_field.h"

typedef struct Reader
{
	Oid type_id;
	MrConvert convert;
	const char *expected;
	bool is_json;
	bool in_arena;
} Reader;

static const Reader readers[] = {
	{TEXTOID, mr_convert_text, "a string", false, true},
	{VARCHAROID, mr_convert_varchar, "a string", false, true},
	{BPCHAROID, mr_convert_bpchar, "a string", false, true},
	{JSONOID, mr_convert_json, NULL, true, false},
	{JSONBOID, mr_convert_jsonb, NULL, true, false},
	{UUIDOID, mr_convert_uuid, "a uuid", false, true},
	{BYTEAOID, mr_convert_bytea, "base64, or \\x or 0x and hexadecimal digits", false, false},
	{BOOLOID, mr_convert_boolean, "true or false", false, false},
	{INT2OID, mr_convert_integer, "an integer", false, false},
	{INT4OID, mr_convert_integer, "an integer", false, false},
	{INT8OID, mr_convert_integer, "an integer", false, false},
	{FLOAT4OID, mr_convert_float4, "a number", false, false},
	{FLOAT8OID, mr_convert_float8, "a number", false, false},
	{NUMERICOID, mr_convert_numeric, "a number", false, false},
	{DATEOID, mr_convert_date, "a date such as \"2026-03-01\"", false, false},
	{TIMESTAMPOID, mr_convert_timestamp, "a timestamp such as \"2026-03-01T12:34:56\"", false,
	 false},
	{TIMESTAMPTZOID, mr_convert_timestamptz, "a timestamp such as \"2026-03-01T12:34:56Z\"", false,
	 false},
	{TIMEOID, mr_convert_timestamp, "a time such as \"12:34:56\"", false, false},
	{TIMETZOID, mr_convert_timetz, "a time such as \"12:34:56Z\"", false, false},
	{MONEYOID, mr_convert_money, "an amount", false, false},
	{INTERVALOID, mr_convert_interval, "an interval such as \"PT1H30M\" or \"90 minutes\"", false,
	 false},
};

static MrDecodeField *pick_below(MrDecodeField *field, Oid type_id, int32 typmod);

void
mr_decode_pick(MrDecodeField *field, Oid type_id, int32 typmod)
{
	Oid input_function;
	Oid element_type = get_element_type(type_id);

	field->type_id = type_id;
	field->typmod = typmod;
	field->context = CurrentMemoryContext;
	getTypeInputInfo(type_id, &input_function, &field->input_param);
	fmgr_info(input_function, &field->input);
	field->convert = mr_convert_input;
	for (int i = 0; i < lengthof(readers); i++)
		if (readers[i].type_id == type_id)
		{
			field->convert = readers[i].convert;
			field->expected = readers[i].expected;
			field->is_json = readers[i].is_json;
			field->in_arena = readers[i].in_arena;
			return;
		}
	field->has_time = mr_type_has_time(type_id, &field->time_inside);
	if (get_typtype(type_id) == TYPTYPE_DOMAIN)
	{
		int32 base_typmod = typmod;
		Oid base = getBaseTypeAndTypmod(type_id, &base_typmod);

		field->convert = mr_convert_domain;
		field->base = pick_below(field, base, base_typmod);
		field->is_json = field->base->is_json;
		field->in_arena = field->base->in_arena;
	}
	else if (OidIsValid(element_type))
	{
		field->convert = mr_convert_array;
		field->expected = "an array";
		field->base = pick_below(field, element_type, typmod);
		get_typlenbyvalalign(element_type, &field->element_length, &field->element_by_value,
							 &field->element_align);
	}
}

bool
mr_type_has_time(Oid type_id, Oid *which)
{
	check_stack_depth();
	type_id = getBaseType(type_id);
	*which = type_id;
	if (type_id == DATEOID || type_id == TIMESTAMPOID || type_id == TIMESTAMPTZOID ||
		type_id == TIMEOID || type_id == TIMETZOID)
		return true;
	if (OidIsValid(get_element_type(type_id)))
		return mr_type_has_time(get_element_type(type_id), which);
	if (get_typtype(type_id) == TYPTYPE_MULTIRANGE)
		type_id = get_multirange_range(type_id);
	if (get_typtype(type_id) == TYPTYPE_RANGE)
		return mr_type_has_time(get_range_subtype(type_id), which);
	*which = InvalidOid;
	if (get_typtype(type_id) == TYPTYPE_COMPOSITE)
	{
		TupleDesc row = lookup_rowtype_tupdesc(type_id, -1);
		bool found = false;
		Oid one;

		for (int i = 0; i < row->natts && !found; i++)
			found = !TupleDescAttr(row, i)->attisdropped &&
					mr_type_has_time(TupleDescAttr(row, i)->atttypid, &one);
		ReleaseTupleDesc(row);
		return found;
	}
	return false;
}

/* The type a domain or array is made of; in messages it speaks for the field. */
static MrDecodeField *
pick_below(MrDecodeField *field, Oid type_id, int32 typmod)
{
	MrDecodeField *below = palloc0(sizeof(MrDecodeField));

	below->arena = field->arena;
	below->name = field->name;
	below->type_name = field->type_name;
	below->reading = field->reading;
	below->inside = field->inside || OidIsValid(get_element_type(field->type_id));
	mr_decode_pick(below, type_id, typmod);
	return below;
}
