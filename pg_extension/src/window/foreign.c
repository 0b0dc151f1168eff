/*
 * foreign.c: see foreign.h. Runs where windows are made.
 */
#include "window/foreign.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* Functions of the server that read a relation, which may be a view, or a value of any type. */
static bool
reads_anything(const char *name)
{
	static const char *const beginnings[] = {"table_to_xml", "schema_to_xml", "database_to_xml",
											 "query_to_xml", "cursor_to_xml", "pg_input_"};

	for (int i = 0; i < lengthof(beginnings); i++)
		if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	return false;
}

/*
 * Of the extensions whose aggregates have partial values (66_window_sketch.sql). Who owns an extension may add what he likes to it, but
 * not what is a superuser's.
 */
static bool
is_of_sketches(Oid class, Oid object, Oid owner)
{
	Oid extension = getExtensionOfObject(class, object);
	const char *name = OidIsValid(extension) ? get_extension_name(extension) : NULL;

	return name != NULL && (strcmp(name, "hll") == 0 || strcmp(name, "tdigest") == 0) &&
		   superuser_arg(owner);
}

static bool
is_foreign_function(Oid function, void *arg)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	bool is_foreign = true;

	if (!HeapTupleIsValid(tuple))
		return true;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	if (form->pronamespace == PG_CATALOG_NAMESPACE)
		is_foreign = reads_anything(NameStr(form->proname));
	else
		is_foreign = !is_of_sketches(ProcedureRelationId, function, form->proowner);
	ReleaseSysCache(tuple);
	return is_foreign;
}

/* A domain has a CHECK, a range a canonical form, any type a cast to json: functions of whoever made it. */
static bool
is_foreign_type(Oid type)
{
	Oid element = get_element_type(type);
	HeapTuple tuple =
		SearchSysCache1(TYPEOID, ObjectIdGetDatum(OidIsValid(element) ? element : type));
	Form_pg_type form;
	bool is_foreign;

	if (!HeapTupleIsValid(tuple))
		return true;
	form = (Form_pg_type) GETSTRUCT(tuple);
	is_foreign = form->typnamespace != PG_CATALOG_NAMESPACE &&
				 !(form->typtype == TYPTYPE_BASE &&
				   is_of_sketches(TypeRelationId, form->oid, form->typowner));
	ReleaseSysCache(tuple);
	return is_foreign;
}

static bool
is_foreign(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Aggref:
			return is_foreign_type(exprType(node)); /* its arguments are not in the view */
		case T_List:
		case T_CaseWhen:
		case T_BoolExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_SQLValueFunction:
			break;
		case T_Const:
		case T_FuncExpr:
		case T_NamedArgExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_SubscriptingRef:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_CollateExpr:
		case T_CaseExpr:
		case T_CaseTestExpr:
		case T_ArrayExpr:
		case T_RowExpr:
		case T_RowCompareExpr:
		case T_CoalesceExpr:
		case T_MinMaxExpr:
			if (is_foreign_type(exprType(node)))
				return true;
			break;
		default:
			return true;
	}
	return check_functions_in_node(node, is_foreign_function, NULL) ||
		   expression_tree_walker(node, is_foreign, arg);
}

bool
mr_window_is_foreign(Node *expression)
{
	return is_foreign(expression, NULL);
}
