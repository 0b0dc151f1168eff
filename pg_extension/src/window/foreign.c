/*
 * foreign.c: see foreign.h. Runs where windows are made.
 */
#include "window/foreign.h"

#include "access/htup_details.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
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

static bool
is_foreign_function(Oid function, void *arg)
{
	return get_func_namespace(function) != PG_CATALOG_NAMESPACE ||
		   reads_anything(get_func_name(function));
}

/* A domain has a CHECK, a range a canonical form, any type a cast to json: functions of whoever made it. */
static bool
is_foreign_type(Oid type)
{
	Oid element = get_element_type(type);
	HeapTuple tuple =
		SearchSysCache1(TYPEOID, ObjectIdGetDatum(OidIsValid(element) ? element : type));
	bool is_foreign = !HeapTupleIsValid(tuple) ||
					  ((Form_pg_type) GETSTRUCT(tuple))->typnamespace != PG_CATALOG_NAMESPACE;

	if (HeapTupleIsValid(tuple))
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
