/*
 * type_field.c: see type_field.h. Runs in workers, and where a definition is checked.
 */
#include "program/type_field.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* Types whose values are names, and whose output functions are the server's own and cannot fail. */
static bool
is_suitable(Oid type, bool *is_text)
{
	*is_text = type == TEXTOID || type == VARCHAROID;
	return *is_text || type == INT2OID || type == INT4OID || type == INT8OID || type == BOOLOID ||
		   get_typtype(type) == TYPTYPE_ENUM;
}

static int
find_column(const MrDefinition *definition, const MrEventRelation *relation)
{
	TupleDesc desc = relation->visible;

	for (int i = 0; i < desc->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), definition->type_field) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("type_field names \"%s\", which is no column of event", definition->type_field),
			 errhint("Add it to fields, as in: fields => '%s text, ...'.",
					 definition->type_field)));
}

MrTypeField *
mr_type_field_create(const MrDefinition *definition, MrEventRelation *relation)
{
	MrTypeField *field;
	Oid type;
	Oid output;
	bool varlena;

	if (definition->type_field == NULL)
		return NULL;
	field = palloc0(sizeof(MrTypeField));
	field->column = find_column(definition, relation);
	type = getBaseType(TupleDescAttr(relation->visible, field->column)->atttypid);
	if (!is_suitable(type, &field->is_text))
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("type_field \"%s\" is of type %s, expected text, varchar, an "
							   "integer, boolean or an enum",
							   definition->type_field, format_type_be(type)),
						errhint("Name a column that has few different values.")));
	getTypeOutputInfo(type, &output, &varlena);
	fmgr_info(output, &field->to_text);
	if (field->column < relation->fields->count)
		mr_decoder_keep(relation->decoder, field->column);
	return field;
}

const char *
mr_type_field_read(MrTypeField *field, const MrEvent *event, int *length)
{
	struct varlena *value;
	char *name;

	if (event->values == NULL || event->isnull[field->column])
		return NULL;
	if (!field->is_text)
	{
		name = OutputFunctionCall(&field->to_text, event->values[field->column]);
		*length = strlen(name);
		return name;
	}
	value = (struct varlena *) DatumGetPointer(event->values[field->column]);
	*length = VARSIZE_ANY_EXHDR(value);
	return VARDATA_ANY(value);
}
