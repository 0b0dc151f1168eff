/*
 * unread.c: see unread.h
 */
#include "program/unread.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "server/catalog.h"
#include "server/catalog_writer.h"

typedef struct Key
{
	char path[MR_JSON_PATH_MAX + 1];
	const char *type; /* of the value last seen */
	int64 count;      /* that is not in the table yet */
	bool known;       /* to the table */
	bool writing;
	TimestampTz first_seen; /* of these */
	TimestampTz last_seen;
} Key;

struct MrUnread
{
	int nkeys;
	Key keys[MR_UNREAD_MAX];
	bool fresh; /* one is not known to the table */
	int64 written_at_us;
};

static void
count(void *argument, const char *path, const MrJsonSlot *slot)
{
	static const char *const types[] = {"nothing", "null",   "boolean", "boolean",
										"number",  "string", "array",   "object"};
	MrUnread *unread = argument;
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	Key *key;
	int i = 0;

	while (i < unread->nkeys && strcmp(unread->keys[i].path, path) != 0)
		i++;
	if (i == MR_UNREAD_MAX)
		return;
	key = &unread->keys[i];
	if (i == unread->nkeys)
	{
		unread->nkeys++;
		unread->fresh = true;
		strlcpy(key->path, path, sizeof(key->path));
	}
	if (key->count++ == 0)
		key->first_seen = now;
	key->last_seen = now;
	key->type = types[slot->kind];
}

MrUnread *
mr_unread_create(void)
{
	return palloc0(sizeof(MrUnread));
}

void
mr_unread_look(MrUnread *unread, MrEventRelation *relation, const MrBatch *batch)
{
	int step = batch->nevents / MR_UNREAD_SAMPLES + 1;

	for (int i = 0; i < batch->nevents; i += step)
	{
		const MrEvent *event = &batch->events[i];

		/* one that a later stage refused has keys, too; one that is no JSON has none */
		if (mr_event_is_tried(event) && event->outcome.state != MR_SKIPPED)
			mr_event_relation_unread(relation, event, count, unread);
	}
}

static void
insert(Relation rel, int32 pipeline_id, const Key *key)
{
	bool nulls[MR_UNREAD_KEY_NATTS] = {false};
	Datum values[MR_UNREAD_KEY_NATTS] = {Int32GetDatum(pipeline_id),
										 CStringGetTextDatum(key->path),
										 Int64GetDatum(key->count),
										 CStringGetTextDatum(key->type),
										 TimestampTzGetDatum(key->first_seen),
										 TimestampTzGetDatum(key->last_seen)};
	HeapTuple tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);

	mr_catalog_insert(rel, tuple);
	heap_freetuple(tuple);
}

void
mr_unread_write(MrUnread *unread, int32 pipeline_id, int64 now_us)
{
	bool due = now_us - unread->written_at_us >= MR_UNREAD_PACE_US;
	Relation rel;

	if (unread->nkeys == 0 || (!due && !unread->fresh))
		return;
	rel = mr_catalog_open("unread_key", RowExclusiveLock);
	for (int i = 0; i < unread->nkeys; i++)
	{
		Key *key = &unread->keys[i];

		key->writing = key->count > 0 && (due || !key->known);
		if (key->writing)
			insert(rel, pipeline_id, key);
	}
	table_close(rel, NoLock);
}

void
mr_unread_written(MrUnread *unread, int64 now_us)
{
	if (unread->nkeys == 0)
		return;
	for (int i = 0; i < unread->nkeys; i++)
		if (unread->keys[i].writing)
		{
			unread->keys[i].writing = false;
			unread->keys[i].known = true;
			unread->keys[i].count = 0;
		}
	unread->fresh = false;
	if (now_us - unread->written_at_us >= MR_UNREAD_PACE_US)
		unread->written_at_us = now_us;
}

static void
collect(void *argument, const char *path, const MrJsonSlot *slot)
{
	ArrayBuildState **state = argument;

	*state =
		accumArrayResult(*state, CStringGetTextDatum(path), false, TEXTOID, CurrentMemoryContext);
}

ArrayType *
mr_unread_of(MrEventRelation *relation, const MrEvent *event)
{
	ArrayBuildState *state = NULL;

	mr_event_relation_unread(relation, event, collect, (void *) &state);
	return state != NULL ? DatumGetArrayTypeP(makeArrayResult(state, CurrentMemoryContext)) : NULL;
}
