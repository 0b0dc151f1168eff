/*
 * The relation behind /events, as millrace.served_columns() describes it: what it has, and what indexes serve. Made once
 * and never changed; threads share it.
 */
#ifndef MR_API_RELATION_H
#define MR_API_RELATION_H

#include <libpq-fe.h>
#include <stdbool.h>

typedef struct MrColumn
{
	char *name;
	char *ident; /* quoted for SQL */
	char *type;  /* as SQL has it */
	bool is_bigint;
	bool is_filterable;
	bool is_plain;    /* selected as it is: row_json.h has its values; else by to_json() */
	bool is_search;   /* a tsvector: for q=, and shown only when it is named */
	char *index_hint; /* how to add the index that would serve a filter; NULL: it is there */
	bool has_numbers; /* it is of a type for them, or JSON */
} MrColumn;

/* A statement that looks up a row, and the name under which it is prepared. */
typedef struct MrLookUp
{
	char name[40];
	char *sql;
} MrLookUp;

typedef struct MrRelation
{
	char *ident;
	char *name; /* as the user wrote it */
	MrColumn *columns;
	int count;
	int id; /* numbers of columns */
	int time;
	int coordinate[3]; /* topic, partition, offset; -1 when no index serves a look-up by them */
	int xid; /* the transaction that wrote the row; -1 when the relation cannot be followed */
	unsigned generation;
	MrLookUp by_id; /* event_query.h makes them for the relation behind /events */
	MrLookUp by_coordinate;
} MrRelation;

/* The query that describes a relation: parameters are its name, id column, time column, xid column. */
extern const char mr_relation_sql[];

extern MrRelation *mr_relation_new(const PGresult *result, const char *name, unsigned generation);
/* -1: it has no such column. */
extern int mr_relation_column(const MrRelation *relation, const char *name);
/* The first column for q=; -1: it has none. */
extern int mr_relation_search(const MrRelation *relation);
extern void mr_relation_free(MrRelation *relation);

#endif
