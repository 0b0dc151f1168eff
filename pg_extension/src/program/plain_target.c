/*
 * plain_target.c: see plain_target.h. Runs where programs are made.
 */
#include "program/plain_target.h"

#include "access/tableam.h"
#include "access/heapam.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

#include "server/compat.h"

/* A domain may refuse the NULL of a column that is not given; a planned INSERT asks it. */
static bool
misses_domain(TupleDesc desc, const Bitmapset *given)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && !bms_is_member(i + 1, given) &&
			get_typtype(attribute->atttypid) == TYPTYPE_DOMAIN)
			return true;
	}
	return false;
}

bool
mr_target_is_plain(Relation target, const Bitmapset *given)
{
	return target->rd_rel->relkind == RELKIND_RELATION && target->trigdesc == NULL &&
		   target->rd_rules == NULL && !target->rd_rel->relispartition &&
		   !mr_has_generated_columns(RelationGetDescr(target)) &&
		   check_enable_rls(RelationGetRelid(target), InvalidOid, true) != RLS_ENABLED &&
		   target->rd_tableam == GetHeapamTableAmRoutine() &&
		   !misses_domain(RelationGetDescr(target), given);
}
