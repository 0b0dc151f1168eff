/*
 * catalog.h: the extension's tables as C sees them: column numbers (as in sql/1?_*_tables.sql)
 * and access.
 *
 * Rows are read through an index with a fresh snapshot and written with CatalogTupleInsert/Update: no
 * privileges are asked and no triggers run, so bookkeeping works in a session of any pipeline's owner.
 */
#ifndef MR_CATALOG_H
#define MR_CATALOG_H

#include "postgres.h"

#include "access/genam.h"
#include "access/skey.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#define MR_SCHEMA "millrace"

enum /* millrace.pipeline */
{
	MR_PIPELINE_ID = 1,
	MR_PIPELINE_NAME,
	MR_PIPELINE_INSTANCE,
	MR_PIPELINE_OWNER,
	MR_PIPELINE_TOPIC,
	MR_PIPELINE_START_AT,
	MR_PIPELINE_PARTITIONS,
	MR_PIPELINE_WORKERS,
	MR_PIPELINE_STATE,
	MR_PIPELINE_VERSION,
	MR_PIPELINE_WINDOWS,
	MR_PIPELINE_CREATED_AT,
	MR_PIPELINE_GROUP_PREFIX,
	MR_PIPELINE_GROUP_ID,
	MR_PIPELINE_TOPIC_KIND
};

enum /* millrace.pipeline_version */
{
	MR_VERSION_PIPELINE_ID = 1,
	MR_VERSION_VERSION,
	MR_VERSION_FORMAT,
	MR_VERSION_FIELDS,
	MR_VERSION_TRANSFORM,
	MR_VERSION_TARGET,
	MR_VERSION_ON_CONFLICT,
	MR_VERSION_CONFLICT_KEY,
	MR_VERSION_NEWER_BY,
	MR_VERSION_TOMBSTONE,
	MR_VERSION_BATCH_ROWS,
	MR_VERSION_ROWS_PER_EVENT,
	MR_VERSION_STATEMENT_TIMEOUT,
	MR_VERSION_SEARCH_PATH,
	MR_VERSION_MAX_RETRIES,
	MR_VERSION_RETRY_DELAY,
	MR_VERSION_RETRY_FACTOR,
	MR_VERSION_RETRY_MAX_DELAY,
	MR_VERSION_RETRY_JITTER,
	MR_VERSION_RETRY_AGE,
	MR_VERSION_FAILURE_SHARE,
	MR_VERSION_FAILURE_WINDOW,
	MR_VERSION_ORDERING,
	MR_VERSION_ON_DEAD,
	MR_VERSION_MAX_PARKED,
	MR_VERSION_MAX_PARKED_PER_KEY,
	MR_VERSION_DATE_ORDER, /* from here to INTERVAL_STYLE: the reading (decode/reading.h) */
	MR_VERSION_TIME_ZONE,
	MR_VERSION_OTHER_ZONE,
	MR_VERSION_BYTEA_FORMAT,
	MR_VERSION_EPOCH,
	MR_VERSION_NUMBER_STYLE,
	MR_VERSION_INTERVAL_STYLE,
	MR_VERSION_CREATED_AT,
	MR_VERSION_CREATED_BY,
	MR_VERSION_DELETE_WHEN,
	MR_VERSION_TOMBSTONE_KEY,
	MR_VERSION_MERGE,
	MR_VERSION_DEAD_LETTER_RETENTION,
	MR_VERSION_TYPE_FIELD
};

enum /* millrace.unread_key */
{
	MR_UNREAD_KEY_PIPELINE_ID = 1,
	MR_UNREAD_KEY_KEY,
	MR_UNREAD_KEY_COUNT,
	MR_UNREAD_KEY_EXAMPLE_TYPE,
	MR_UNREAD_KEY_FIRST_SEEN,
	MR_UNREAD_KEY_LAST_SEEN,
	MR_UNREAD_KEY_NATTS = MR_UNREAD_KEY_LAST_SEEN
};

enum /* millrace.topic_partition */
{
	MR_TOPIC_PARTITION_PIPELINE_ID = 1,
	MR_TOPIC_PARTITION_PARTITION,
	MR_TOPIC_PARTITION_TOPIC,
	MR_TOPIC_PARTITION_TOPIC_PARTITION
};

enum /* millrace.partition */
{
	MR_PARTITION_PIPELINE_ID = 1,
	MR_PARTITION_PARTITION,
	MR_PARTITION_EPOCH,
	MR_PARTITION_LANE,
	MR_PARTITION_STATE,
	MR_PARTITION_ERROR,
	MR_PARTITION_HINT,
	MR_PARTITION_SEEK_TS,
	MR_PARTITION_CHANGED_AT,
	MR_PARTITION_NATTS = MR_PARTITION_CHANGED_AT
};

enum /* millrace.progress */
{
	MR_PROGRESS_PIPELINE_ID = 1,
	MR_PROGRESS_PARTITION,
	MR_PROGRESS_SEQ,
	MR_PROGRESS_NEXT_OFFSET,
	MR_PROGRESS_LAST_OFFSET,
	MR_PROGRESS_LAST_TS,
	MR_PROGRESS_LAST_CRC,
	MR_PROGRESS_EVENTS,
	MR_PROGRESS_WRITTEN,
	MR_PROGRESS_FILTERED,
	MR_PROGRESS_SUPERSEDED,
	MR_PROGRESS_SKIPPED,
	MR_PROGRESS_DEAD,
	MR_PROGRESS_ROWS,
	MR_PROGRESS_BYTES,
	MR_PROGRESS_SETTLED_AT,
	MR_PROGRESS_RETRYING,
	MR_PROGRESS_FAILED,
	MR_PROGRESS_RETRIED,
	MR_PROGRESS_DEAD_LETTERED,
	MR_PROGRESS_REPLAYED,
	MR_PROGRESS_PARKED,
	MR_PROGRESS_NATTS = MR_PROGRESS_PARKED
};

enum /* millrace.ledger */
{
	MR_LEDGER_PIPELINE_ID = 1,
	MR_LEDGER_LANE,
	MR_LEDGER_NUMBER,
	MR_LEDGER_SEQ,
	MR_LEDGER_ROWS,
	MR_LEDGER_UPDATES,
	MR_LEDGER_APPENDED_AT,
	MR_LEDGER_ENTRIES,
	MR_LEDGER_NATTS = MR_LEDGER_ENTRIES
};

enum /* millrace.dead_letter */
{
	MR_DEAD_LETTER_ID = 1,
	MR_DEAD_LETTER_PIPELINE_ID,
	MR_DEAD_LETTER_VERSION,
	MR_DEAD_LETTER_TOPIC,
	MR_DEAD_LETTER_PARTITION,
	MR_DEAD_LETTER_OFFSET,
	MR_DEAD_LETTER_KAFKA_TS,
	MR_DEAD_LETTER_KEY,
	MR_DEAD_LETTER_HEADERS,
	MR_DEAD_LETTER_PAYLOAD,
	MR_DEAD_LETTER_STAGE,
	MR_DEAD_LETTER_SQLSTATE,
	MR_DEAD_LETTER_MESSAGE,
	MR_DEAD_LETTER_DETAIL,
	MR_DEAD_LETTER_HINT,
	MR_DEAD_LETTER_CONSTRAINT_NAME,
	MR_DEAD_LETTER_COLUMN_NAME,
	MR_DEAD_LETTER_FAILED_AT,
	MR_DEAD_LETTER_ENDED,
	MR_DEAD_LETTER_ATTEMPTS,
	MR_DEAD_LETTER_HISTORY,
	MR_DEAD_LETTER_FIRST_FAILED_AT,
	MR_DEAD_LETTER_STATE,
	MR_DEAD_LETTER_REPLAY_COUNT,
	MR_DEAD_LETTER_EDITED_PAYLOAD,
	MR_DEAD_LETTER_PUBLISHED_AT,
	MR_DEAD_LETTER_DLQ_PARTITION,
	MR_DEAD_LETTER_DLQ_OFFSET,
	MR_DEAD_LETTER_CHANGED_AT,
	MR_DEAD_LETTER_DOCUMENT,
	MR_DEAD_LETTER_NATTS = MR_DEAD_LETTER_DOCUMENT
};

enum /* millrace.error_class */
{
	MR_CLASS_ID = 1,
	MR_CLASS_PIPELINE_ID,
	MR_CLASS_SQLSTATE,
	MR_CLASS_CONSTRAINT_NAME,
	MR_CLASS_ACTION,
	MR_CLASS_BUILTIN
};

enum /* millrace.retry */
{
	MR_RETRY_ID = 1,
	MR_RETRY_PIPELINE_ID,
	MR_RETRY_VERSION,
	MR_RETRY_TOPIC,
	MR_RETRY_PARTITION,
	MR_RETRY_OFFSET,
	MR_RETRY_KAFKA_TS,
	MR_RETRY_KIND,
	MR_RETRY_ATTEMPTS,
	MR_RETRY_NEXT_AT,
	MR_RETRY_FIRST_FAILED_AT,
	MR_RETRY_REPLAY_OF,
	MR_RETRY_KEY,
	MR_RETRY_HEADERS,
	MR_RETRY_PAYLOAD,
	MR_RETRY_HISTORY,
	MR_RETRY_STATE,
	MR_RETRY_ORDER_KEY,
	MR_RETRY_DOCUMENT,
	MR_RETRY_ENTERED_AT,
	MR_RETRY_NATTS = MR_RETRY_ENTERED_AT
};

enum /* millrace.breaker */
{
	MR_BREAKER_PIPELINE_ID = 1,
	MR_BREAKER_STATE,
	MR_BREAKER_SINCE,
	MR_BREAKER_REASON,
	MR_BREAKER_SQLSTATE,
	MR_BREAKER_NEXT_PROBE_AT,
	MR_BREAKER_OPENED,
	MR_BREAKER_WORKER,
	MR_BREAKER_KIND,
	MR_BREAKER_COMMAND,
	MR_BREAKER_NATTS = MR_BREAKER_COMMAND
};

enum /* millrace.crash_suspect */
{
	MR_CRASH_PIPELINE_ID = 1,
	MR_CRASH_VERSION,
	MR_CRASH_KIND,
	MR_CRASH_PARTITION,
	MR_CRASH_FIRST_OFFSET,
	MR_CRASH_LAST_OFFSET,
	MR_CRASH_SUSPECT_OFFSET,
	MR_CRASH_EVENTS,
	MR_CRASH_STAGE,
	MR_CRASH_CRASHES,
	MR_CRASH_BEGAN_AT,
	MR_CRASH_CRASHED_AT
};

enum /* millrace.event_type */
{
	MR_EVENT_TYPE_PIPELINE_ID = 1,
	MR_EVENT_TYPE_NUMBER,
	MR_EVENT_TYPE_NAME,
	MR_EVENT_TYPE_NATTS = MR_EVENT_TYPE_NAME
};

enum /* millrace.event_type_count */
{
	MR_TYPE_COUNT_PIPELINE_ID = 1,
	MR_TYPE_COUNT_STRIPE,
	MR_TYPE_COUNT_SEQ,
	MR_TYPE_COUNT_UPDATES,
	MR_TYPE_COUNT_COUNTS,
	MR_TYPE_COUNT_NATTS = MR_TYPE_COUNT_COUNTS
};

enum /* millrace.dead_letter_aside */
{
	MR_ASIDE_PIPELINE_ID = 1,
	MR_ASIDE_PARTITION,
	MR_ASIDE_LETTERS,
	MR_ASIDE_NATTS = MR_ASIDE_LETTERS
};

enum /* millrace.window_definition */
{
	MR_WINDOW_ID = 1,
	MR_WINDOW_PIPELINE_ID,
	MR_WINDOW_NAME,
	MR_WINDOW_SELECTS,
	MR_WINDOW_GROUPED,
	MR_WINDOW_AT,
	MR_WINDOW_MAX_SKEW_US,
	MR_WINDOW_OLD_SELECTS
};

enum /* millrace.window_outside */
{
	MR_OUTSIDE_WINDOW_ID = 1,
	MR_OUTSIDE_STREAM,
	MR_OUTSIDE_SEQ,
	MR_OUTSIDE_ROWS,
	MR_OUTSIDE_SKEWED,
	MR_OUTSIDE_NATTS = MR_OUTSIDE_SKEWED
};

enum /* millrace.lane, millrace.segment */
{
	MR_LANE_ID = 1,
	MR_LANE_PIPELINE_ID,
	MR_LANE_NUMBER,
	MR_SEGMENT_LANE_ID = 1,
	MR_SEGMENT_NUMBER,
	MR_SEGMENT_RELATION
};

/* OID of the extension, InvalidOid when it is not in this database. */
extern Oid mr_extension_oid(void);

/*
 * Holds off DROP EXTENSION until the end of the transaction; false when the extension is not there, or, unless any
 * version will do, is of another one than this library.
 */
extern bool mr_lock_extension(bool any_version);

/* Its version in this database, in the current memory context; NULL: it is not there. */
extern char *mr_extension_version(void);

/* Owner of the extension (and of its tables). */
extern Oid mr_extension_owner(void);

/*
 * Become the extension's owner, to write its tables in a function that others call. Until SetUserIdAndSecContext(*user,
 * *context); an error's abort undoes it as well.
 */
extern void mr_become_extension_owner(Oid *user, int *context);

/* OID of a table, index or sequence of the extension; an error when there is none. */
extern Oid mr_catalog_oid(const char *name);

/* Opens a table of the extension. */
extern Relation mr_catalog_open(const char *name, LOCKMODE lockmode);

/* An equality key on an int4 column. */
extern void mr_key_int4(ScanKey key, int column, int32 value);
extern void mr_key_text(ScanKey key, int column, const char *value);

/* Columns of a row; a null is `null_value`, or NULL for text. Text is copied. */
extern int32 mr_catalog_int4(HeapTuple tuple, int column, TupleDesc desc);
extern int64 mr_catalog_int8(HeapTuple tuple, int column, TupleDesc desc, int64 null_value);
extern char *mr_catalog_text(HeapTuple tuple, int column, TupleDesc desc);

/* A column of a row that is made; NULL is null. The bytes are not copied. */
extern void mr_catalog_set_bytes(Datum *values, bool *nulls, int column, const bytea *bytes);

/*
 * The first row an index scan finds (the last one with `backward`), copied into the current memory context,
 * or NULL. A snapshot taken now is used: under a lock that writers of the row take, the row is current.
 */
extern HeapTuple mr_catalog_fetch(Relation rel, const char *index, int nkeys, ScanKey keys,
								  bool backward);

/*
 * As mr_catalog_fetch() for many rows of one table: opened once, with one snapshot, which is taken when it is opened: under the
 * locks that writers of all these rows take.
 */
typedef struct MrCatalogReader
{
	Relation rel;
	Relation index;
	Snapshot snapshot;
	SysScanDesc scan;
	int nkeys;
	ScanDirection direction;
} MrCatalogReader;

/* The keys' columns are the first of the index, and of the table. Their arguments do not matter yet. */
extern void mr_catalog_reader_open(MrCatalogReader *reader, const char *table, const char *index,
								   int nkeys, ScanKey keys, bool backward);

/* The row, valid until the next one is fetched; NULL: none. */
extern HeapTuple mr_catalog_reader_fetch(MrCatalogReader *reader, ScanKey keys);
extern void mr_catalog_reader_close(MrCatalogReader *reader);

/* The same for a row that others may be changing: waits for them, and locks the newest version until commit. */
extern HeapTuple mr_catalog_fetch_for_update(Relation rel, const char *index, int nkeys,
											 ScanKey keys);

#endif /* MR_CATALOG_H */
