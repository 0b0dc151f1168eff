/*
 * pipeline.h: pipelines and their versions as the catalogue has them.
 */
#ifndef MR_PIPELINE_H
#define MR_PIPELINE_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"

#include "decode/reading.h"
#include "pipeline/topics.h"

typedef struct MrPipelineRow
{
	int32 id;
	char *name;
	int32 version;
	int32 windows;    /* another number: its windows were changed */
	int32 partitions; /* that are known of its topics */
	int32 workers;
	Oid owner;
	bool running; /* not paused */
	bool foreign; /* of another instance: shown, not run, until adopt() */
} MrPipelineRow;

typedef enum MrOnConflict
{
	MR_CONFLICT_ERROR,
	MR_CONFLICT_IGNORE,
	MR_CONFLICT_UPDATE
} MrOnConflict;

typedef enum MrTombstone
{
	MR_TOMBSTONE_DEAD_LETTER,
	MR_TOMBSTONE_SKIP,
	MR_TOMBSTONE_DELETE
} MrTombstone;

/* One version of a pipeline: what to do with an event. */
typedef struct MrDefinition
{
	int32 pipeline_id;
	int32 version;
	const char *name;
	MrTopics *topics;
	const char *format; /* of the messages, a name of decode/format.h */
	const char *fields; /* NULL: none */
	const char *transform;
	Oid target;
	MrOnConflict on_conflict;
	List *conflict_key; /* of char * */
	const char *newer_by;
	const char *merge; /* assignments of an upsert, NULL: each column gets the new value */
	MrTombstone tombstone;
	const char *tombstone_key; /* field list over the message key, NULL: the conflict key by name */
	const char *delete_when;   /* condition over event, NULL: none */
	const char *type_field;    /* column of event with the event's type, NULL: none */
	int batch_rows;
	int rows_per_event;
	int statement_timeout_ms;
	const char *search_path;
	MrReading reading;
	struct MrRetryRules
	{
		int max_retries;
		int delay_ms;
		double factor;
		int max_delay_ms;
		double jitter; /* share of the delay */
		int64 age_ms;  /* 0: any */
	} retry;
	double failure_share; /* NaN: not set */
	int failure_window;
	struct MrOrderRules
	{
		bool by_key;
		bool hold; /* a dead letter keeps its key waiting */
		int max_parked;
		int max_parked_per_key;
	} order;
	List *windows; /* of MrWindowDefinition: window_definition.h */
} MrDefinition;

typedef struct MrRetryRules MrRetryRules;

/* An error with a hint when there is no such pipeline. */
extern void mr_pipeline_row_by_name(const char *name, MrPipelineRow *row);

/*
 * An error unless the current role is the owner itself: for functions that run or analyse the pipeline's SQL in the caller's
 * session.
 */
extern void mr_pipeline_check_owner(const MrPipelineRow *row, const char *function);

/* False when there is no such pipeline (any more). */
extern bool mr_pipeline_row_by_id(int32 id, MrPipelineRow *row);

/* For messages, in a transaction: the name, or the number of a pipeline that was dropped. */
extern const char *mr_pipeline_name(int32 id);

/* Loads a version into the current memory context. */
extern MrDefinition *mr_definition_load(int32 pipeline_id, int32 version);

/*
 * The definition that a row of millrace.pipeline_version holds, stored or not, in the current memory context. Name and
 * topic, which the row has not, are empty.
 */
extern MrDefinition *mr_definition_of(HeapTuple tuple, TupleDesc desc);

/* The settings that its SQL was checked with and runs with, until the end of the GUC nest level. */
extern void mr_definition_pin(const MrDefinition *definition);

/* The name of the target, qualified and quoted, for statements. */
extern char *mr_target_name(const MrDefinition *definition);

/* The definition's table, opened; an error that names the pipeline when it was dropped. */
extern Relation mr_target_open(const MrDefinition *definition, LOCKMODE mode);

#endif /* MR_PIPELINE_H */
