/*
 * segment.c: DDL and emptying of staging segments. Runs in ingestor backends and in workers.
 *
 * Segments are members of the extension although they are made at run time: pg_dump locks every table it
 * dumps for its whole run, and it skips members.
 */
#include "staging/segment.h"

#include "access/heaptoast.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xlogutils.h"
#include "catalog/heap.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/indexing.h"
#include "catalog/storage.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "server/catalog.h"

/* Runs DDL whose objects become members of the extension, as if its script had created them. */
static void
execute_as_member(const char *sql)
{
	bool creating = creating_extension;
	Oid current = CurrentExtensionObject;

	creating_extension = true;
	CurrentExtensionObject = mr_extension_oid();
	PG_TRY();
	{
		if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
			elog(ERROR, "unexpected result of: %s", sql);
	}
	PG_FINALLY();
	{
		creating_extension = creating;
		CurrentExtensionObject = current;
	}
	PG_END_TRY();
}

/* A row that fits into a page stays there: packs of events are made to, and moving 8 kB out of line costs five rows more. */
Oid
mr_segment_create(int32 lane_id, int32 number)
{
	StringInfoData sql;
	char *name = psprintf("segment_%d_%d", lane_id, number);
	Oid relation;

	SPI_connect();
	initStringInfo(&sql);
	appendStringInfo(
		&sql,
		"CREATE UNLOGGED TABLE millrace.%s (batch bigint NOT NULL, \"offset\" bigint NOT NULL, "
		"kafka_ts bigint NOT NULL, partition integer NOT NULL, kind smallint NOT NULL, "
		"key bytea, headers bytea, payload bytea) USING millrace_segment "
		"WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off, toast_tuple_target = %d)",
		name, (int) TOAST_TUPLE_TARGET_MAIN);
	execute_as_member(sql.data);
	/* Compressing a 3 kB payload costs 97 us against 37; the row lives for a second. */
	execute_as_member(psprintf("ALTER TABLE millrace.%s ALTER COLUMN payload SET STORAGE EXTERNAL, "
							   "ALTER COLUMN key SET STORAGE EXTERNAL, "
							   "ALTER COLUMN headers SET STORAGE EXTERNAL",
							   name));
	relation = mr_catalog_oid(name);
	if (SPI_execute(psprintf("INSERT INTO millrace.segment VALUES (%d, %d, %u)", lane_id, number,
							 relation),
					false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not record segment %s", name);
	SPI_finish();
	return relation;
}

void
mr_segment_grant(Oid relation, Oid role)
{
	if (pg_class_aclcheck(relation, role, ACL_INSERT) == ACLCHECK_OK)
		return;
	/* As a member's own: pg_dump leaves out privileges an extension gives its members. */
	SPI_connect();
	execute_as_member(psprintf("GRANT INSERT ON %s TO %s",
							   quote_qualified_identifier(MR_SCHEMA, get_rel_name(relation)),
							   quote_identifier(GetUserNameFromId(role, false))));
	SPI_finish();
}

typedef enum EmptyResult
{
	EMPTIED,
	LOCKED,
	GONE
} EmptyResult;

/*
 * Truncates a relation to nothing; its lock is held exclusively.
 *
 * Outside of recovery PostgreSQL looks through all of shared_buffers for the relation's pages: 6 ms with 8 GB, whatever
 * the relation's size. It looks for the pages by their numbers where it trusts the relation's size as it was last
 * asked for, which is in recovery only: elsewhere another process may have extended the relation since. Under this lock
 * none can. smgrtruncate() is the only one that is to see the flag: an error ends it too, and a termination waits.
 */
static void
truncate_by_page(Relation rel)
{
	Assert(CheckRelationLockedByMe(rel, AccessExclusiveLock, false));
	Assert(!RelationNeedsWAL(rel));
	HOLD_INTERRUPTS();
	PG_TRY();
	{
		InRecovery = true;
		RelationTruncate(rel, 0);
	}
	PG_FINALLY();
	{
		InRecovery = false;
	}
	PG_END_TRY();
	RESUME_INTERRUPTS();
}

/* The same for its indexes, of which an empty one has a page. */
static void
empty_indexes(Relation rel)
{
	List *indexes = RelationGetIndexList(rel);
	ListCell *cell;

	foreach (cell, indexes)
	{
		Relation index = index_open(lfirst_oid(cell), AccessExclusiveLock);

		truncate_by_page(index);
		index_build(rel, index, BuildDummyIndexInfo(index), true, false);
		index_close(index, NoLock);
	}
	list_free(indexes);
}

/* Whether it has pages, or an index that is not as an empty one: emptying it may have been cut off in the middle. */
static bool
has_content(Relation rel)
{
	List *indexes = RelationGetIndexList(rel);
	bool found = RelationGetNumberOfBlocks(rel) > 0;
	ListCell *cell;

	foreach (cell, indexes)
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		found = found || RelationGetNumberOfBlocks(index) != 1; /* the meta page */
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	return found;
}

/*
 * Large payloads: most often there are none, and then its lock is not needed either. False: somebody else has a lock on the
 * TOAST table.
 */
static bool
empty_toast(Oid relation)
{
	Relation rel;
	bool used;

	if (!OidIsValid(relation))
		return true;
	if (!ConditionalLockRelationOid(relation, AccessShareLock))
		return false;
	rel = table_open(relation, NoLock);
	used = has_content(rel);
	table_close(rel, AccessShareLock);
	if (!used)
		return true;
	if (!ConditionalLockRelationOid(relation, AccessExclusiveLock))
		return false;
	rel = table_open(relation, NoLock);
	truncate_by_page(rel);
	empty_indexes(rel);
	table_close(rel, NoLock);
	return true;
}

/* Its lock is held. */
static EmptyResult
empty_locked(Oid relation)
{
	Relation rel = try_table_open(relation, NoLock);
	EmptyResult result = EMPTIED;

	if (rel == NULL)
		return GONE;
	if (RelationGetNumberOfBlocks(rel) > 0)
	{
		if (empty_toast(rel->rd_rel->reltoastrelid))
			truncate_by_page(rel);
		else
			result = LOCKED;
	}
	table_close(rel, NoLock);
	return result;
}

/*
 * The lock is kept until the transaction's end. While it was not held, the other side may have emptied the
 * segment, and the writer may have filled it: only what is still consumed under the lock is emptied.
 */
static EmptyResult
empty_consumed(MrLane *lane, const MrFilling *consumed)
{
	EmptyResult result = LOCKED;

	if (!ConditionalLockRelationOid(consumed->relation, AccessExclusiveLock))
		return LOCKED;
	if (mr_ring_is_consumed(lane, consumed))
		result = empty_locked(consumed->relation);
	if (result == LOCKED)
		UnlockRelationOid(consumed->relation, AccessExclusiveLock);
	return result;
}

void
mr_segment_load(MrLane *lane)
{
	Relation rel = mr_catalog_open("segment", AccessShareLock);
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple tuple;

	mr_key_int4(&key, MR_SEGMENT_LANE_ID, lane->lane_id);
	scan = systable_beginscan(rel, mr_catalog_oid("segment_pkey"), true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool isnull;
		Oid segment = DatumGetObjectId(
			heap_getattr(tuple, MR_SEGMENT_RELATION, RelationGetDescr(rel), &isnull));

		/* What is left from before a restart of the server has stale epochs. One that is locked is left out. */
		if (ConditionalLockRelationOid(segment, AccessExclusiveLock) &&
			empty_locked(segment) == EMPTIED)
			mr_ring_add(lane, segment);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

void
mr_segment_empty_consumed(MrLane *lane, uint64 generation)
{
	int i = 0;
	MrFilling consumed;

	while (mr_ring_consumed(lane, generation, &i, &consumed))
	{
		switch (empty_consumed(lane, &consumed))
		{
			case EMPTIED:
				mr_ring_emptied(lane, &consumed);
				break;
			case LOCKED:
				break;
			case GONE:
				mr_ring_remove(lane, generation, consumed.relation);
				i = 0;
				break;
		}
	}
}

int64
mr_segment_bytes(Oid relation)
{
	Relation rel = try_table_open(relation, AccessShareLock);
	int64 bytes;

	if (rel == NULL)
		return 0; /* its pipeline was dropped */
	bytes = (int64) RelationGetNumberOfBlocks(rel) * BLCKSZ;
	table_close(rel, AccessShareLock);
	return bytes;
}
