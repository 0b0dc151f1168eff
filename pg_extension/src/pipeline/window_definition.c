/*
 * window_definition.c: reading millrace.window_definition.
 */
#include "pipeline/window_definition.h"

#include "access/genam.h"
#include "access/table.h"
#include "utils/snapmgr.h"

#include "server/catalog.h"

List *
mr_window_definitions(int32 pipeline_id)
{
	Relation rel = mr_catalog_open("window_definition", AccessShareLock);
	Relation index =
		index_open(mr_catalog_oid("window_definition_pipeline_id_idx"), AccessShareLock);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleDesc desc = RelationGetDescr(rel);
	List *windows = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	mr_key_int4(&key, MR_WINDOW_PIPELINE_ID, pipeline_id);
	scan = systable_beginscan_ordered(rel, index, snapshot, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan, ForwardScanDirection)))
	{
		MrWindowDefinition *window = palloc0(sizeof(MrWindowDefinition));

		window->id = mr_catalog_int4(tuple, MR_WINDOW_ID, desc);
		window->name = mr_catalog_text(tuple, MR_WINDOW_NAME, desc);
		window->selects = mr_catalog_text(tuple, MR_WINDOW_SELECTS, desc);
		window->grouped = mr_catalog_text(tuple, MR_WINDOW_GROUPED, desc);
		window->at = mr_catalog_text(tuple, MR_WINDOW_AT, desc);
		window->max_skew_us = mr_catalog_int8(tuple, MR_WINDOW_MAX_SKEW_US, desc, 0);
		window->old_selects = mr_catalog_text(tuple, MR_WINDOW_OLD_SELECTS, desc);
		windows = lappend(windows, window);
	}
	systable_endscan_ordered(scan);
	UnregisterSnapshot(snapshot);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	return windows;
}
