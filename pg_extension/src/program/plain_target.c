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
misses_domain(const MrProgram *program, Relation target)
{
	TupleDesc desc = RelationGetDescr(target);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && !mr_program_gives(program, i + 1) &&
			get_typtype(attribute->atttypid) == TYPTYPE_DOMAIN)
			return true;
	}
	return false;
}

bool
mr_target_is_plain(const MrProgram *program, Relation target)
{
	return target->rd_rel->relkind == RELKIND_RELATION && target->trigdesc == NULL &&
		   target->rd_rules == NULL && !target->rd_rel->relispartition &&
		   !mr_has_generated_columns(RelationGetDescr(target)) &&
		   check_enable_rls(RelationGetRelid(target), InvalidOid, true) != RLS_ENABLED &&
		   target->rd_tableam == GetHeapamTableAmRoutine() &&
		   program->definition->on_conflict == MR_CONFLICT_ERROR && !misses_domain(program, target);
}
