/*
 * row_detail.c: see row_detail.h. Runs in workers, for rows that are refused without an exception.
 *
 * The rules of what is shown are those of the server's executor (execMain.c, ExecBuildSlotValueDescription), which does
 * not export them.
 */
#include "run/row_detail.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

#include "server/scratch.h"

#define VALUE_BYTES 64

typedef struct Description
{
	bool with_names;
	StringInfoData names;
	StringInfoData values;
} Description;

static void
begin(Description *description, bool with_names)
{
	description->with_names = with_names;
	initStringInfo(&description->names);
	initStringInfo(&description->values);
}

static void
add_value(StringInfo text, Oid type, Datum value)
{
	Oid output;
	bool is_varlena;
	char *shown;
	int length;

	getTypeOutputInfo(type, &output, &is_varlena);
	shown = OidOutputFunctionCall(output, value);
	length = (int) strlen(shown);
	if (length <= VALUE_BYTES)
		appendBinaryStringInfo(text, shown, length);
	else
		appendStringInfo(text, "%.*s...", pg_mbcliplen(shown, length, VALUE_BYTES), shown);
}

static void
add(Description *description, const char *name, Oid type, Datum value, bool isnull)
{
	if (description->values.len > 0)
	{
		appendStringInfoString(&description->names, ", ");
		appendStringInfoString(&description->values, ", ");
	}
	appendStringInfoString(&description->names, name);
	if (isnull)
		appendStringInfoString(&description->values, "null");
	else
		add_value(&description->values, type, value);
}

static char *
text_of(const Description *description)
{
	if (!description->with_names)
		return psprintf("Failing row contains (%s).", description->values.data);
	return psprintf("Failing row contains (%s) = (%s).", description->names.data,
					description->values.data);
}

static char *
leave(MrScratch *scratch, const Description *description)
{
	char *text;

	mr_scratch_leave(scratch);
	text = text_of(description);
	mr_scratch_free(scratch);
	return text;
}

char *
mr_row_detail(const MrProgram *program, Relation target, TupleTableSlot *slot)
{
	TupleDesc desc = RelationGetDescr(target);
	Oid relid = RelationGetRelid(target);
	bool whole = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
	MrScratch scratch;
	Description description;

	if (check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED)
		return NULL;
	scratch = mr_scratch_enter(); /* values may be large */
	begin(&description, !whole);
	slot_getallattrs(slot);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped ||
			(!whole && !bms_is_member(i + 1, program->given) &&
			 pg_attribute_aclcheck(relid, i + 1, GetUserId(), ACL_SELECT) != ACLCHECK_OK))
			continue;
		add(&description, NameStr(attribute->attname), attribute->atttypid, slot->tts_values[i],
			slot->tts_isnull[i]);
	}
	return leave(&scratch, &description);
}

char *
mr_row_detail_given(const MrProgram *program, const Datum *values, const bool *isnull)
{
	MrScratch scratch;
	Description description;

	if (check_enable_rls(program->definition->target, InvalidOid, true) == RLS_ENABLED)
		return NULL;
	scratch = mr_scratch_enter(); /* values may be large */
	begin(&description, true);
	for (int i = 0; i < program->ncolumns; i++)
		add(&description, program->columns[i].name, program->columns[i].type_id, values[i],
			isnull[i]);
	return leave(&scratch, &description);
}
