/*
 * pipeline.c: reading millrace.pipeline and millrace.pipeline_version.
 */
#include "pipeline/pipeline.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"

#include "server/catalog.h"
#include "server/guc.h"
#include "pipeline/window_definition.h"

/* Whether the pipeline carries the id of this installation. */
static bool
is_ours(Datum instance)
{
	Relation rel = mr_catalog_open("instance", AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple tuple = systable_getnext(scan);
	bool ours = false;
	bool isnull;

	if (HeapTupleIsValid(tuple))
	{
		Datum id = heap_getattr(tuple, 1, RelationGetDescr(rel), &isnull);

		ours = memcmp(DatumGetUUIDP(id)->data, DatumGetUUIDP(instance)->data, UUID_LEN) == 0;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return ours;
}

static void
fill_row(HeapTuple tuple, TupleDesc desc, MrPipelineRow *row)
{
	bool isnull;
	char *state;

	row->id = DatumGetInt32(heap_getattr(tuple, MR_PIPELINE_ID, desc, &isnull));
	row->name = mr_catalog_text(tuple, MR_PIPELINE_NAME, desc);
	row->version = DatumGetInt32(heap_getattr(tuple, MR_PIPELINE_VERSION, desc, &isnull));
	row->windows = mr_catalog_int4(tuple, MR_PIPELINE_WINDOWS, desc);
	row->partitions = DatumGetInt32(heap_getattr(tuple, MR_PIPELINE_PARTITIONS, desc, &isnull));
	row->workers = DatumGetInt32(heap_getattr(tuple, MR_PIPELINE_WORKERS, desc, &isnull));
	row->owner = DatumGetObjectId(heap_getattr(tuple, MR_PIPELINE_OWNER, desc, &isnull));
	state = TextDatumGetCString(heap_getattr(tuple, MR_PIPELINE_STATE, desc, &isnull));
	row->running = strcmp(state, "running") == 0;
	row->foreign = !is_ours(heap_getattr(tuple, MR_PIPELINE_INSTANCE, desc, &isnull));
}

void
mr_pipeline_row_by_name(const char *name, MrPipelineRow *row)
{
	Relation rel = mr_catalog_open("pipeline", AccessShareLock);
	ScanKeyData key;
	HeapTuple tuple;

	mr_key_text(&key, MR_PIPELINE_NAME, name);
	tuple = mr_catalog_fetch(rel, "pipeline_name_key", 1, &key, false);
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("pipeline \"%s\" does not exist", name),
				 errhint("SELECT name FROM millrace.pipelines; lists the pipelines.")));
	fill_row(tuple, RelationGetDescr(rel), row);
	table_close(rel, AccessShareLock);
}

void
mr_pipeline_check_owner(const MrPipelineRow *row, const char *function)
{
	if (GetUserId() != row->owner)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("%s() of pipeline \"%s\" must be called by its owner", function, row->name),
				 errdetail(
					 "The transform runs with the rights of the session, as a worker's does."),
				 errhint("SET ROLE %s, and call it again.",
						 quote_identifier(GetUserNameFromId(row->owner, false)))));
}

bool
mr_pipeline_row_by_id(int32 id, MrPipelineRow *row)
{
	Relation rel = mr_catalog_open("pipeline", AccessShareLock);
	ScanKeyData key;
	HeapTuple tuple;

	mr_key_int4(&key, MR_PIPELINE_ID, id);
	tuple = mr_catalog_fetch(rel, "pipeline_pkey", 1, &key, false);
	if (HeapTupleIsValid(tuple))
		fill_row(tuple, RelationGetDescr(rel), row);
	table_close(rel, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

const char *
mr_pipeline_name(int32 id)
{
	MrPipelineRow row;

	return mr_pipeline_row_by_id(id, &row) ? row.name : psprintf("%d", id);
}

static List *
names_of(HeapTuple tuple, int column, TupleDesc desc)
{
	bool isnull;
	Datum value = heap_getattr(tuple, column, desc, &isnull);
	Datum *elements;
	bool *nulls;
	int n;
	List *names = NIL;

	if (isnull)
		return NIL;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &elements,
					  &nulls, &n);
	for (int i = 0; i < n; i++)
		names = lappend(names, TextDatumGetCString(elements[i]));
	return names;
}

static void
load_names(MrDefinition *definition)
{
	Relation rel = mr_catalog_open("pipeline", AccessShareLock);
	ScanKeyData key;
	HeapTuple tuple;

	mr_key_int4(&key, MR_PIPELINE_ID, definition->pipeline_id);
	tuple = mr_catalog_fetch(rel, "pipeline_pkey", 1, &key, false);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "pipeline %d does not exist", definition->pipeline_id);
	definition->name = mr_catalog_text(tuple, MR_PIPELINE_NAME, RelationGetDescr(rel));
	table_close(rel, AccessShareLock);
	definition->topics = mr_topics_load(definition->pipeline_id);
}

static MrOnConflict
on_conflict_of(const char *text)
{
	if (strcmp(text, "error") == 0)
		return MR_CONFLICT_ERROR;
	if (strcmp(text, "ignore") == 0)
		return MR_CONFLICT_IGNORE;
	if (strcmp(text, "update") == 0)
		return MR_CONFLICT_UPDATE;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("on_conflict is \"%s\"", text),
					errhint("It must be error, ignore or update.")));
}

static double
double_of(HeapTuple tuple, int column, TupleDesc desc)
{
	bool isnull;
	Datum value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? get_float8_nan() : DatumGetFloat8(value);
}

static void
load_retry_rules(MrDefinition *definition, HeapTuple tuple, TupleDesc desc)
{
	definition->retry.max_retries = mr_catalog_int4(tuple, MR_VERSION_MAX_RETRIES, desc);
	definition->retry.delay_ms = mr_catalog_int4(tuple, MR_VERSION_RETRY_DELAY, desc);
	definition->retry.factor = double_of(tuple, MR_VERSION_RETRY_FACTOR, desc);
	definition->retry.max_delay_ms = mr_catalog_int4(tuple, MR_VERSION_RETRY_MAX_DELAY, desc);
	definition->retry.jitter = double_of(tuple, MR_VERSION_RETRY_JITTER, desc);
	definition->retry.age_ms = mr_catalog_int4(tuple, MR_VERSION_RETRY_AGE, desc);
	definition->failure_share = double_of(tuple, MR_VERSION_FAILURE_SHARE, desc);
	definition->failure_window = mr_catalog_int4(tuple, MR_VERSION_FAILURE_WINDOW, desc);
}

static void
load_order_rules(MrDefinition *definition, HeapTuple tuple, TupleDesc desc)
{
	definition->order.by_key =
		strcmp(mr_catalog_text(tuple, MR_VERSION_ORDERING, desc), "key") == 0;
	definition->order.hold = strcmp(mr_catalog_text(tuple, MR_VERSION_ON_DEAD, desc), "hold") == 0;
	definition->order.max_parked = mr_catalog_int4(tuple, MR_VERSION_MAX_PARKED, desc);
	definition->order.max_parked_per_key =
		mr_catalog_int4(tuple, MR_VERSION_MAX_PARKED_PER_KEY, desc);
}

static void
load_reading(MrDefinition *definition, HeapTuple tuple, TupleDesc desc)
{
	mr_reading_init(&definition->reading);
	for (int column = MR_VERSION_DATE_ORDER; column <= MR_VERSION_INTERVAL_STYLE; column++)
	{
		const char *option = NameStr(TupleDescAttr(desc, column - 1)->attname);

		mr_reading_set_or_raise(&definition->reading, option, mr_catalog_text(tuple, column, desc));
	}
}

MrDefinition *
mr_definition_load(int32 pipeline_id, int32 version)
{
	MrDefinition *definition;
	Relation rel = mr_catalog_open("pipeline_version", AccessShareLock);
	ScanKeyData keys[2];
	HeapTuple tuple;

	mr_key_int4(&keys[0], MR_VERSION_PIPELINE_ID, pipeline_id);
	mr_key_int4(&keys[1], MR_VERSION_VERSION, version);
	tuple = mr_catalog_fetch(rel, "pipeline_version_pkey", 2, keys, false);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "version %d of pipeline %d does not exist", version, pipeline_id);
	definition = mr_definition_of(tuple, RelationGetDescr(rel));
	table_close(rel, AccessShareLock);
	load_names(definition);
	definition->windows = mr_window_definitions(pipeline_id);
	return definition;
}

MrDefinition *
mr_definition_of(HeapTuple tuple, TupleDesc desc)
{
	MrDefinition *definition = palloc0(sizeof(MrDefinition));
	bool isnull;
	char *tombstone;

	definition->name = "";
	definition->topics = mr_topics_single("");
	definition->pipeline_id = mr_catalog_int4(tuple, MR_VERSION_PIPELINE_ID, desc);
	definition->version = mr_catalog_int4(tuple, MR_VERSION_VERSION, desc);
	definition->format = mr_catalog_text(tuple, MR_VERSION_FORMAT, desc);
	definition->fields = mr_catalog_text(tuple, MR_VERSION_FIELDS, desc);
	definition->transform = mr_catalog_text(tuple, MR_VERSION_TRANSFORM, desc);
	definition->target = DatumGetObjectId(heap_getattr(tuple, MR_VERSION_TARGET, desc, &isnull));
	definition->on_conflict = on_conflict_of(mr_catalog_text(tuple, MR_VERSION_ON_CONFLICT, desc));
	definition->conflict_key = names_of(tuple, MR_VERSION_CONFLICT_KEY, desc);
	definition->newer_by = mr_catalog_text(tuple, MR_VERSION_NEWER_BY, desc);
	tombstone = mr_catalog_text(tuple, MR_VERSION_TOMBSTONE, desc);
	definition->tombstone = strcmp(tombstone, "skip") == 0     ? MR_TOMBSTONE_SKIP
							: strcmp(tombstone, "delete") == 0 ? MR_TOMBSTONE_DELETE
															   : MR_TOMBSTONE_DEAD_LETTER;
	definition->tombstone_key = mr_catalog_text(tuple, MR_VERSION_TOMBSTONE_KEY, desc);
	definition->merge = mr_catalog_text(tuple, MR_VERSION_MERGE, desc);
	definition->delete_when = mr_catalog_text(tuple, MR_VERSION_DELETE_WHEN, desc);
	definition->type_field = mr_catalog_text(tuple, MR_VERSION_TYPE_FIELD, desc);
	definition->batch_rows = mr_catalog_int4(tuple, MR_VERSION_BATCH_ROWS, desc);
	definition->rows_per_event = mr_catalog_int4(tuple, MR_VERSION_ROWS_PER_EVENT, desc);
	definition->statement_timeout_ms = mr_catalog_int4(tuple, MR_VERSION_STATEMENT_TIMEOUT, desc);
	definition->search_path = mr_catalog_text(tuple, MR_VERSION_SEARCH_PATH, desc);
	load_retry_rules(definition, tuple, desc);
	load_order_rules(definition, tuple, desc);
	load_reading(definition, tuple, desc);
	return definition;
}

void
mr_definition_pin(const MrDefinition *definition)
{
	mr_reading_pin(&definition->reading);
	mr_guc_set("search_path", definition->search_path);
}

char *
mr_target_name(const MrDefinition *definition)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(definition->target)),
									  get_rel_name(definition->target));
}

Relation
mr_target_open(const MrDefinition *definition, LOCKMODE mode)
{
	Relation target = try_table_open(definition->target, mode);

	if (target == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("the target table of pipeline \"%s\" was dropped", definition->name),
						errhint("Name another: SELECT millrace.alter_pipeline(%s, target => ...);",
								quote_literal_cstr(definition->name))));
	return target;
}
