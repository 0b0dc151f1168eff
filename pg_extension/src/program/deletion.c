/*
 * deletion.c: see deletion.h. Made where programs are made; runs in workers.
 *
 * A row is deleted unless it is newer: with newer_by, when its value is greater than that of the event. A tombstone has no
 * such value unless newer_by is a column of Kafka's; without one it deletes what it finds.
 */
#include "program/deletion.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define KEYS_RELATION "millrace_keys"

/* Columns k1, k2 ... [, newer], number: no names of the target's, which might be the same. */
static TupleDesc
describe(const MrProgram *program)
{
	TupleDesc desc = CreateTemplateTupleDesc(program->nkeys + 1);

	for (int i = 0; i < program->nkeys; i++)
	{
		const MrColumn *column = &program->columns[program->keys[i].column];

		TupleDescInitEntry(desc, i + 1, i < program->nconflict ? psprintf("k%d", i + 1) : "newer",
						   column->type_id, column->typmod, 0);
		TupleDescInitEntryCollation(desc, i + 1, column->collation);
	}
	TupleDescInitEntry(desc, program->nkeys + 1, "number", INT4OID, -1, 0);
	return desc;
}

static void
append_match(StringInfo sql, const MrProgram *program)
{
	for (int i = 0; i < program->nconflict; i++)
		appendStringInfo(sql, "%starget.%s = keys.k%d", i > 0 ? " AND " : " WHERE ",
						 quote_identifier(program->columns[program->keys[i].column].name), i + 1);
}

static const char *
remove_statement(const MrProgram *program)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "DELETE FROM %s AS target USING " KEYS_RELATION " AS keys",
					 mr_target_name(program->definition));
	append_match(&sql, program);
	if (program->newer_column >= 0)
	{
		const char *newer = quote_identifier(program->columns[program->newer_column].name);

		appendStringInfo(
			&sql, " AND (keys.newer >= target.%s OR target.%s IS NULL OR keys.newer IS NULL)",
			newer, newer);
	}
	appendStringInfoString(&sql, " RETURNING keys.number");
	return sql.data;
}

static const char *
newer_statement(const MrProgram *program)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT keys.number FROM " KEYS_RELATION " AS keys JOIN %s AS target ON true",
					 mr_target_name(program->definition));
	append_match(&sql, program);
	appendStringInfo(&sql, " AND target.%s > keys.newer",
					 quote_identifier(program->columns[program->newer_column].name));
	return sql.data;
}

static MrPlan *
plan(const MrProgram *program, const char *sql, TupleDesc rows)
{
	MrPlan *plan =
		mr_plan_create(sql, KEYS_RELATION, rows, rows, program->definition->target, NULL, NULL);

	mr_plan_look_up(plan);
	mr_check_query_permissions(mr_plan_analyze(plan));
	return plan;
}

MrDeletion *
mr_deletion_create(MrProgram *program)
{
	MrDeletion *deletion = palloc0(sizeof(MrDeletion));

	deletion->rows = describe(program);
	deletion->remove = plan(program, remove_statement(program), deletion->rows);
	if (program->newer_column >= 0)
		deletion->newer = plan(program, newer_statement(program), deletion->rows);
	return deletion;
}

void
mr_deletion_put(const MrProgram *program, Tuplestorestate *store, TupleTableSlot *row, int32 number)
{
	Datum values[INDEX_MAX_KEYS + 2];
	bool isnull[INDEX_MAX_KEYS + 2];

	for (int i = 0; i < program->nkeys; i++)
		values[i] = slot_getattr(row, program->keys[i].column + 1, &isnull[i]);
	values[program->nkeys] = Int32GetDatum(number);
	isnull[program->nkeys] = false;
	tuplestore_putvalues(store, program->deletion->rows, values, isnull);
}
