/*
 * From the parameters of GET /events to one SELECT with parameters: what the client wrote is a value or one of the
 * relation's own names, never SQL. Pure.
 */
#ifndef MR_API_EVENT_QUERY_H
#define MR_API_EVENT_QUERY_H

#include "api/control/problem.h"
#include "api/database/pool.h"
#include "api/database/relation.h"
#include "api/request/cursor.h"
#include "api/request/params.h"
#include "common/options.h"

#define MR_LIMIT_DEFAULT 100
#define MR_LIMIT_MAX     1000

typedef enum MrFormat
{
	MR_FORMAT_JSON,
	MR_FORMAT_NDJSON,
	MR_FORMAT_CSV
} MrFormat;

/* Why a list cannot be served. */
typedef struct MrListRefusal
{
	MrProblem problem;
	char detail[320];
	char hint[320];
} MrListRefusal;

typedef struct MrEventQuery
{
	MrBuffer sql;
	const char *values[MR_QUERY_PARAMETERS_MAX];
	int count;
	MrStrings texts;   /* values that are not the parameters' own */
	const char *joint; /* what comes before the next condition */
	MrFormat format;
	bool csv_raw;
	int *columns; /* numbers of those to show, in order */
	int column_count;
	int limit;             /* the query asks for one row more */
	int hidden;            /* columns of the SELECT that are not shown */
	int key_columns[2];    /* where time and id of a row are, as text */
	bool is_planned_alike; /* the plan for some values is the one for any: see mr_pool_query() */
	bool has_cursor;
	MrCursor cursor;
	MrBuffer estimate;  /* the statement whose plan says how many rows the list has, on all pages */
	int estimate_count; /* its parameters: the first of `values` */
	MrBuffer filters;   /* the list without its position: what a cursor is signed with */
} MrEventQuery;

/*
 * The SELECT has the columns to show, as text for CSV, else as row_json.h wants them; and the time and id of the row, if
 * they are not among these. False: `refusal` says why. `params` must outlive the query.
 */
extern bool mr_event_query_build(MrEventQuery *query, const MrRelation *relation,
								 const MrParams *params, MrFormat format,
								 const MrCursorSecret *secret, MrListRefusal *refusal)
	__attribute__((warn_unused_result));
extern void mr_event_query_free(MrEventQuery *query);

/* Reads which columns to show (NULL: all) into the query, whose `columns` has room for them. */
extern bool mr_event_query_fields(MrEventQuery *query, const MrRelation *relation, const char *text,
								  MrListRefusal *refusal) __attribute__((warn_unused_result));

/* Makes the look-ups of one row for row_json.h: by id ($1), and by topic, partition and offset ($1 to $3). */
extern void mr_event_query_look_ups(MrRelation *relation);

#endif
