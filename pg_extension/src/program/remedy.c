/*
 * remedy.c: see remedy.h. Runs in workers.
 */
#include "program/remedy.h"

#include <ctype.h>

#include "access/relation.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pipeline/pipeline.h"
#include "program/remembered.h"

/* What is looked for. */
typedef struct Search
{
	int sqlstate;
	const char *message;
	char *command;
	bool is_named; /* the message names what the command changes */
} Search;

static bool
is_of_word(char c)
{
	return c == '_' || isalnum((unsigned char) c);
}

static bool
names(const char *message, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = strstr(message, name); at != NULL; at = strstr(at + 1, name))
		if ((at == message || !is_of_word(at[-1])) && !is_of_word(at[length]))
			return true;
	return false;
}

/* A finding. The first counts, but one that the message names counts more. */
static void
suggest(Search *search, const char *name, char *command)
{
	bool is_named = names(search->message, name);

	if (search->command != NULL && (search->is_named || !is_named))
		return;
	search->command = command;
	search->is_named = is_named;
}

static const char *
table_name(const MrRememberedTable *table)
{
	return quote_qualified_identifier(table->schema, table->name);
}

/* The table was renamed, or moved to another schema. */
static void
compare_names(Search *search, const MrRememberedTable *was, const MrRememberedTable *is)
{
	StringInfoData sql;

	initStringInfo(&sql);
	if (strcmp(was->name, is->name) != 0)
		appendStringInfo(&sql, "ALTER TABLE %s RENAME TO %s;", table_name(is),
						 quote_identifier(was->name));
	if (strcmp(was->schema, is->schema) != 0)
		appendStringInfo(&sql, "%sALTER TABLE %s SET SCHEMA %s;", sql.len > 0 ? " " : "",
						 quote_qualified_identifier(is->schema, was->name),
						 quote_identifier(was->schema));
	if (sql.len > 0)
		suggest(search, was->name, sql.data);
}

/* Columns that were dropped or renamed. */
static void
compare_columns(Search *search, const MrRememberedTable *was, const MrRememberedTable *is)
{
	for (int i = 0; i < was->ncolumns; i++)
	{
		const MrRememberedColumn *old = &was->columns[i];
		const MrRememberedColumn *now = i < is->ncolumns ? &is->columns[i] : NULL;

		if (old->name == NULL)
			continue;
		if (now == NULL || now->name == NULL)
			suggest(search, old->name,
					psprintf("ALTER TABLE %s ADD COLUMN %s %s;", table_name(is),
							 quote_identifier(old->name), old->type));
		else if (strcmp(old->name, now->name) != 0)
			suggest(search, old->name,
					psprintf("ALTER TABLE %s RENAME COLUMN %s TO %s;", table_name(is),
							 quote_identifier(now->name), quote_identifier(old->name)));
	}
}

static char *
change_type(const char *table, const char *column, const char *type)
{
	const char *name = quote_identifier(column);

	return psprintf("ALTER TABLE %s ALTER COLUMN %s TYPE %s USING %s::%s;", table, name, type, name,
					type);
}

static void
compare_types(Search *search, const MrRememberedTable *was, const MrRememberedTable *is)
{
	for (int i = 0; i < Min(was->ncolumns, is->ncolumns); i++)
	{
		const MrRememberedColumn *old = &was->columns[i];
		const MrRememberedColumn *now = &is->columns[i];

		if (old->name != NULL && now->name != NULL && strcmp(old->type, now->type) != 0)
			suggest(search, now->name, change_type(table_name(is), now->name, old->type));
	}
}

static char *
allow_null(const char *table, const char *column)
{
	return psprintf("ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL;", table,
					quote_identifier(column));
}

/* Columns that are NOT NULL, and were not, or were not there. */
static void
compare_nulls(Search *search, const MrRememberedTable *was, const MrRememberedTable *is)
{
	for (int i = 0; i < is->ncolumns; i++)
	{
		const MrRememberedColumn *now = &is->columns[i];

		if (now->name != NULL && now->not_null &&
			(i >= was->ncolumns || was->columns[i].name == NULL || !was->columns[i].not_null))
			suggest(search, now->name, allow_null(table_name(is), now->name));
	}
}

static bool
lacks(Oid table, AclMode privilege)
{
	return pg_class_aclcheck(table, GetUserId(), privilege) != ACLCHECK_OK &&
		   pg_attribute_aclcheck_all(table, GetUserId(), privilege, ACLMASK_ANY) != ACLCHECK_OK;
}

static bool
can_use_schema(const char *schema)
{
	return DatumGetBool(DirectFunctionCall2(has_schema_privilege_name, CStringGetTextDatum(schema),
											CStringGetTextDatum("USAGE")));
}

/* Privileges that the owner had and has not: on the target (the first) to write it, else to read. */
static void
compare_privileges(Search *search, const MrRememberedTable *is, bool is_target,
				   MrOnConflict on_conflict)
{
	const char *owner = quote_identifier(GetUserNameFromId(GetUserId(), false));
	StringInfoData lacking;

	if (!can_use_schema(is->schema))
		suggest(search, is->schema,
				psprintf("GRANT USAGE ON SCHEMA %s TO %s;", quote_identifier(is->schema), owner));
	initStringInfo(&lacking);
	if (is_target && lacks(is->oid, ACL_INSERT))
		appendStringInfoString(&lacking, ", INSERT");
	if (is_target && on_conflict == MR_CONFLICT_UPDATE && lacks(is->oid, ACL_UPDATE))
		appendStringInfoString(&lacking, ", UPDATE");
	if ((!is_target || on_conflict != MR_CONFLICT_ERROR) && lacks(is->oid, ACL_SELECT))
		appendStringInfoString(&lacking, ", SELECT");
	if (lacking.len > 0)
		suggest(search, is->name,
				psprintf("GRANT %s ON %s TO %s;", lacking.data + strlen(", "), table_name(is),
						 owner));
}

static void
compare(Search *search, const MrRememberedTable *was, const MrRememberedTable *is, bool is_target,
		MrOnConflict on_conflict)
{
	switch (search->sqlstate)
	{
		case ERRCODE_UNDEFINED_TABLE:
			compare_names(search, was, is);
			break;
		case ERRCODE_UNDEFINED_COLUMN:
			compare_columns(search, was, is);
			break;
		case ERRCODE_DATATYPE_MISMATCH:
		case ERRCODE_UNDEFINED_FUNCTION: /* an operator */
		case ERRCODE_CANNOT_COERCE:
			compare_types(search, was, is);
			break;
		case ERRCODE_NOT_NULL_VIOLATION:
			if (is_target)
				compare_nulls(search, was, is);
			break;
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			compare_privileges(search, is, is_target, on_conflict);
			break;
		default:
			break;
	}
}

/* From the fields that errors of our own have: of a program that this worker never made. */
static char *
from_fields(const ErrorData *error)
{
	const char *table;

	if (error->schema_name == NULL || error->table_name == NULL || error->column_name == NULL)
		return NULL;
	table = quote_qualified_identifier(error->schema_name, error->table_name);
	if (error->sqlerrcode == ERRCODE_NOT_NULL_VIOLATION)
		return allow_null(table, error->column_name);
	if (error->datatype_name == NULL)
		return NULL;
	if (error->sqlerrcode == ERRCODE_UNDEFINED_COLUMN)
		return psprintf("ALTER TABLE %s ADD COLUMN %s %s;", table,
						quote_identifier(error->column_name), error->datatype_name);
	if (error->sqlerrcode == ERRCODE_DATATYPE_MISMATCH)
		return change_type(table, error->column_name, error->datatype_name);
	return NULL;
}

bool
mr_remedy_is_possible(int sqlstate)
{
	return sqlstate == ERRCODE_NOT_NULL_VIOLATION ||
		   ERRCODE_TO_CATEGORY(sqlstate) == MAKE_SQLSTATE('4', '2', '0', '0', '0');
}

static char *
find(List *remembered, const MrDefinition *definition, const ErrorData *error)
{
	Search search = {.sqlstate = error->sqlerrcode,
					 .message = error->message != NULL ? error->message : ""};
	ListCell *cell;
	char *command;

	foreach (cell, remembered)
	{
		const MrRememberedTable *was = lfirst(cell);
		Relation rel = try_relation_open(was->oid, AccessShareLock);

		if (rel == NULL)
			continue;
		compare(&search, was, mr_remember_table(rel), was->oid == definition->target,
				definition->on_conflict);
		relation_close(rel, NoLock);
	}
	command = search.command != NULL ? search.command : from_fields(error);
	if (command == NULL && error->sqlerrcode != ERRCODE_INSUFFICIENT_PRIVILEGE &&
		error->internalquery != NULL && strcmp(error->internalquery, definition->transform) == 0)
		command = psprintf("SELECT millrace.alter_pipeline(%s, transform => %s);",
						   quote_literal_cstr(definition->name),
						   quote_literal_cstr(definition->transform));
	return command;
}

char *
mr_remedy(List *remembered, int32 pipeline_id, const ErrorData *error)
{
	MrPipelineRow pipeline;
	char *command = NULL;

	PushActiveSnapshot(GetTransactionSnapshot());
	if (mr_pipeline_row_by_id(pipeline_id, &pipeline))
		command = find(remembered, mr_definition_load(pipeline_id, pipeline.version), error);
	PopActiveSnapshot();
	return command;
}
