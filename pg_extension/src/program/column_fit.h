/*
 * column_fit.h: whether a column of the target can hold what the transform gives for it.
 */
#ifndef MR_COLUMN_FIT_H
#define MR_COLUMN_FIT_H

#include "postgres.h"

#include "nodes/nodes.h"

/* What an output column of a transform gives, before it is cast to the column of the target. */
typedef struct MrGiven
{
	Oid type_id;
	int32
		typmod; /* of a text that consists of constants and of fields of limited length: that of the longest */
	bool is_constant; /* NULL too */
} MrGiven;

/* What may be lost or refused on the way to the target. */
typedef struct MrMisfit
{
	const char *severity; /* "warning" or "info" */
	const char *
		code; /* column_narrow, column_overflow, column_rounds, column_inexact, column_zone, column_cut */
	const char
		*problem; /* a clause about the column, as "may be longer than character varying(3)" */
	const char *hint;
} MrMisfit;

extern MrGiven mr_given_of(Node *expression);

/* False: everything fits, or nothing is known of these types. */
extern bool mr_column_misfit(const MrGiven *given, Oid target, int32 target_typmod,
							 MrMisfit *misfit);

#endif /* MR_COLUMN_FIT_H */
