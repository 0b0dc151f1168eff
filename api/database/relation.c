#include "api/database/relation.h"

#include <stdlib.h>
#include <string.h>

#include "api/database/row_json.h"
#include "common/buffer.h"

static void read_use(MrRelation *relation, int column, const char *use);

const char mr_relation_sql[] =
	"SELECT relation_ident, name, ident, type, is_bigint, use, filterable, "
	"index_hint FROM millrace.served_columns($1, $2, $3, $4)";

MrRelation *
mr_relation_new(const PGresult *result, const char *name, unsigned generation)
{
	MrRelation *relation = mr_calloc(1, sizeof(*relation));

	relation->name = mr_strdup(name);
	relation->ident = mr_strdup(PQgetvalue(result, 0, 0));
	relation->count = PQntuples(result);
	relation->columns = mr_calloc((size_t) relation->count, sizeof(*relation->columns));
	relation->generation = generation;
	for (int i = 0; i < 3; i++)
		relation->coordinate[i] = -1;
	relation->xid = -1;
	for (int i = 0; i < relation->count; i++)
	{
		relation->columns[i] = (MrColumn){
			.name = mr_strdup(PQgetvalue(result, i, 1)),
			.ident = mr_strdup(PQgetvalue(result, i, 2)),
			.type = mr_strdup(PQgetvalue(result, i, 3)),
			.is_bigint = *PQgetvalue(result, i, 4) == 't',
			/* what is of another type comes as JSON */
			.has_numbers = *PQgetvalue(result, i, 4) == 't' ||
						   !mr_row_json_knows(PQgetvalue(result, i, 3)) ||
						   mr_row_json_has_numbers(PQgetvalue(result, i, 3)),
			.is_filterable = *PQgetvalue(result, i, 6) == 't',
			/* a domain, too, when it is one of bigint, so that it is a string */
			.is_plain =
				*PQgetvalue(result, i, 4) == 't' || mr_row_json_knows(PQgetvalue(result, i, 3)),
			.index_hint = PQgetisnull(result, i, 7) ? NULL : mr_strdup(PQgetvalue(result, i, 7)),
			.is_search = strcmp(PQgetvalue(result, i, 3), "tsvector") == 0,
		};
		read_use(relation, i, PQgetvalue(result, i, 5));
	}
	return relation;
}

int
mr_relation_column(const MrRelation *relation, const char *name)
{
	for (int i = 0; i < relation->count; i++)
		if (strcmp(relation->columns[i].name, name) == 0)
			return i;
	return -1;
}

int
mr_relation_search(const MrRelation *relation)
{
	for (int i = 0; i < relation->count; i++)
		if (relation->columns[i].is_search)
			return i;
	return -1;
}

void
mr_relation_free(MrRelation *relation)
{
	if (relation == NULL)
		return;
	for (int i = 0; i < relation->count; i++)
	{
		free(relation->columns[i].name);
		free(relation->columns[i].ident);
		free(relation->columns[i].type);
		free(relation->columns[i].index_hint);
	}
	free(relation->by_id.sql);
	free(relation->by_coordinate.sql);
	free(relation->columns);
	free(relation->ident);
	free(relation->name);
	free(relation);
}

static void
read_use(MrRelation *relation, int column, const char *use)
{
	static const char *const parts[] = {"topic", "partition", "offset"};

	if (strcmp(use, "id") == 0)
		relation->id = column;
	else if (strcmp(use, "time") == 0)
		relation->time = column;
	else if (strcmp(use, "xid") == 0)
		relation->xid = column;
	for (int i = 0; i < 3; i++)
		if (strcmp(use, parts[i]) == 0)
			relation->coordinate[i] = column;
}
