/*
 * catalog.c: finding and reading rows of the extension's own tables.
 */
#include "server/catalog.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/xact.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "catalog/indexing.h"
#include "catalog/pg_collation.h"

#include "server/compat.h"
#include "server/version.h"

/* What is known of the extension in this database; InvalidOid: it is not there. */
typedef struct ExtensionRow
{
	Oid oid;
	Oid owner;
	char *version; /* NULL: it is not there */
} ExtensionRow;

static ExtensionRow read_extension(void);

Oid
mr_extension_oid(void)
{
	return get_extension_oid("millrace", true);
}

bool
mr_lock_extension(bool any_version)
{
	Oid extension = mr_extension_oid();
	ExtensionRow row;

	if (!OidIsValid(extension))
		return false;
	LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
	row = read_extension();
	if (row.oid != extension || row.version == NULL)
		return false;
	return any_version || strcmp(row.version, mr_library_version()) == 0;
}

Oid
mr_extension_owner(void)
{
	ExtensionRow row = read_extension();

	if (!OidIsValid(row.owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("extension \"millrace\" does not exist"),
				 errhint("Run CREATE EXTENSION millrace.")));
	return row.owner;
}

char *
mr_extension_version(void)
{
	return read_extension().version;
}

static ExtensionRow
read_extension(void)
{
	ExtensionRow row = {InvalidOid, InvalidOid, NULL};
	Relation rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("millrace"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		row.oid = ((Form_pg_extension) GETSTRUCT(tuple))->oid;
		row.owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
		row.version = mr_catalog_text(tuple, Anum_pg_extension_extversion, RelationGetDescr(rel));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return row;
}

void
mr_become_extension_owner(Oid *user, int *context)
{
	GetUserIdAndSecContext(user, context);
	SetUserIdAndSecContext(mr_extension_owner(), *context | SECURITY_LOCAL_USERID_CHANGE);
}

Oid
mr_catalog_oid(const char *name)
{
	Oid schema = get_namespace_oid(MR_SCHEMA, true);
	Oid oid = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;

	if (!OidIsValid(oid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation \"%s.%s\" does not exist", MR_SCHEMA, name),
						errhint("Run CREATE EXTENSION millrace in this database.")));
	return oid;
}

Relation
mr_catalog_open(const char *name, LOCKMODE lockmode)
{
	return table_open(mr_catalog_oid(name), lockmode);
}

void
mr_key_int4(ScanKey key, int column, int32 value)
{
	ScanKeyInit(key, column, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(value));
}

void
mr_key_text(ScanKey key, int column, const char *value)
{
	ScanKeyInit(key, column, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(value));
	key->sk_collation = DEFAULT_COLLATION_OID;
}

int32
mr_catalog_int4(HeapTuple tuple, int column, TupleDesc desc)
{
	bool isnull;

	return DatumGetInt32(heap_getattr(tuple, column, desc, &isnull));
}

int64
mr_catalog_int8(HeapTuple tuple, int column, TupleDesc desc, int64 null_value)
{
	bool isnull;
	Datum value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? null_value : DatumGetInt64(value);
}

char *
mr_catalog_text(HeapTuple tuple, int column, TupleDesc desc)
{
	bool isnull;
	Datum value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

void
mr_catalog_set_bytes(Datum *values, bool *nulls, int column, const bytea *bytes)
{
	nulls[column - 1] = bytes == NULL;
	values[column - 1] = PointerGetDatum(bytes);
}

HeapTuple
mr_catalog_fetch(Relation rel, const char *index, int nkeys, ScanKey keys, bool backward)
{
	Relation index_rel = index_open(mr_catalog_oid(index), AccessShareLock);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan = systable_beginscan_ordered(rel, index_rel, snapshot, nkeys, keys);
	HeapTuple tuple =
		systable_getnext_ordered(scan, backward ? BackwardScanDirection : ForwardScanDirection);

	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan_ordered(scan);
	UnregisterSnapshot(snapshot);
	index_close(index_rel, AccessShareLock);
	return tuple;
}

void
mr_catalog_reader_open(MrCatalogReader *reader, const char *table, const char *index, int nkeys,
					   ScanKey keys, bool backward)
{
	reader->rel = mr_catalog_open(table, AccessShareLock);
	reader->index = index_open(mr_catalog_oid(index), AccessShareLock);
	reader->snapshot = RegisterSnapshot(GetLatestSnapshot());
	reader->scan =
		systable_beginscan_ordered(reader->rel, reader->index, reader->snapshot, nkeys, keys);
	reader->nkeys = nkeys;
	reader->direction = backward ? BackwardScanDirection : ForwardScanDirection;
}

HeapTuple
mr_catalog_reader_fetch(MrCatalogReader *reader, ScanKey keys)
{
	index_rescan(reader->scan->iscan, keys, reader->nkeys, NULL, 0);
	return systable_getnext_ordered(reader->scan, reader->direction);
}

void
mr_catalog_reader_close(MrCatalogReader *reader)
{
	systable_endscan_ordered(reader->scan);
	UnregisterSnapshot(reader->snapshot);
	index_close(reader->index, AccessShareLock);
	table_close(reader->rel, AccessShareLock);
}

HeapTuple
mr_catalog_fetch_for_update(Relation rel, const char *index, int nkeys, ScanKey keys)
{
	for (;;)
	{
		HeapTuple tuple = mr_catalog_fetch(rel, index, nkeys, keys, false);
		HeapTupleData locked;
		TM_FailureData failure;
		TM_Result result;
		Buffer buffer;

		if (!HeapTupleIsValid(tuple))
			return NULL;
		CHECK_FOR_INTERRUPTS();
		locked.t_self = tuple->t_self;
		result = heap_lock_tuple(rel, &locked, GetCurrentCommandId(true), LockTupleNoKeyExclusive,
								 LockWaitBlock, true, &buffer, &failure);
		ReleaseBuffer(buffer);
		if (result == TM_Ok)
			return tuple;
		heap_freetuple(tuple); /* changed or deleted since: look again */
	}
}
