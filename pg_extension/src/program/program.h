/*
 * program.h: a version of a pipeline, ready to run: its event relation, its transform, its target.
 */
#ifndef MR_PROGRAM_H
#define MR_PROGRAM_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "utils/sortsupport.h"

#include "pipeline/pipeline.h"
#include "program/batch.h"
#include "program/column_fit.h"
#include "program/event_relation.h"
#include "program/plan.h"

/* A column the transform gives, in the order of the transform. */
typedef struct MrColumn
{
	AttrNumber attnum; /* in the target */
	Oid type_id;
	int32 typmod;
	Oid collation;
	bool is_key;           /* of the conflict key */
	bool must_not_be_null; /* NOT NULL in the target and no trigger can fill it */
	const char *name;
	MrGiven given; /* before it is cast to the target's type */
	int field;     /* of event that it is as it is, from 0; -1: an expression */
} MrColumn;

/* What rows are sorted and distinguished by. */
typedef struct MrSortKey
{
	int column; /* index into columns */
	SortSupportData support;
} MrSortKey;

typedef struct MrProgram
{
	MemoryContext context;
	MrDefinition *definition;
	MrEventRelation *event;
	struct MrTypeField *type_field;   /* type_field.h; NULL: events are not counted by type */
	struct MrEventTypes *event_types; /* pipeline/event_types.h; NULL as type_field is */
	struct MrUnread *unread;          /* keys that no field reads, seen by the worker */
	MrPlan *transform;
	bool transform_writes; /* it has: what it wrote is undone with the events that fail */
	int ncolumns;
	MrColumn *columns;
	List *relations;       /* OIDs of tables and views that the transform names */
	Bitmapset *given;      /* attribute numbers of the columns, in the target */
	TupleDesc row_visible; /* the columns */
	TupleDesc row_full;    /* and the row's number in its batch */
	MrPlan *insert;
	struct Query *insert_query; /* analysed: the rights it needs */
	TupleDesc stored;           /* the target's columns, for windows; NULL: it has none */
	TupleDesc stored_full;      /* and the row's number in its batch */
	struct MrWindows *windows;  /* window/contribute.h; NULL: not made yet */
	bool in_order; /* rows of one key take effect one after another (run/write_in_order.h) */
	struct MrMerge *merge;            /* merge.h; NULL: rows are replaced */
	struct MrDeletion *deletion;      /* deletion.h; NULL: no row is ever deleted */
	struct MrKeep *keep;              /* keep.h; NULL: no row keeps what an event lacks */
	struct MrMessageKey *message_key; /* of a tombstone that deletes, NULL: none does */
	bool
		direct; /* rows are only inserted, into a plain target (plain_target.h): run/insert_direct.h serves it */
	Oid conflict_index; /* of an upsert that run/upsert_direct.h serves (conflict_index.h), InvalidOid: it does not */
	TupleTableSlot **slots; /* of direct_rows.c */
	TupleDesc slot_desc;
	int nkeys;             /* rows go in ordered by these; 0 = as they come */
	int nconflict;         /* how many of them, from the first, are the conflict key */
	MrSortKey *keys;       /* conflict key or primary key, then newer_by if there is one */
	int newer_column;      /* -1: none */
	AttrNumber newer_from; /* column of event that newer_by is, as it is; 0: another expression */
} MrProgram;

/*
 * Makes a program in a child of the current memory context, analysing everything as the current user. Every
 * fault of the definition is an error with a position or a hint.
 */
extern MrProgram *mr_program_create(MrDefinition *definition);
extern void mr_program_free(MrProgram *program);

/*
 * Whether an error of the write says that a NOT NULL column of the target is null which the transform does not give. Where that
 * is known beforehand, it is an error when the program is made; a trigger, maybe a partition's, may fill such a column.
 */
extern bool mr_program_left_unfilled(const MrProgram *program, const ErrorData *error);

/* Whether what it was made from is unchanged (no DDL on what it names). */
extern bool mr_program_is_valid(MrProgram *program);

#endif /* MR_PROGRAM_H */
