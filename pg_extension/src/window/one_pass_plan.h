/*
 * one_pass_plan.h: which plans are served in one pass over the rows, and what is where in them.
 */
#ifndef MR_WINDOW_ONE_PASS_PLAN_H
#define MR_WINDOW_ONE_PASS_PLAN_H

#include "postgres.h"

#include "nodes/plannodes.h"

/* The scan of the rows, if it is all that the plan reads, or else NULL. */
extern const Scan *mr_served_scan(const Plan *plan);

/* The same, where the statement is nothing but that scan. */
extern const Scan *mr_served_rows(const PlannedStmt *statement);

/* The aggregate node over such a scan, and the node around it, if any; NULL: the plan is another one. */
extern const Agg *mr_served_aggregate(const PlannedStmt *statement, const SubqueryScan **around);

/* Which of the keys an expression over them is, from 0; -1: none. */
extern int mr_served_key(const Agg *agg, const Expr *expression);

/* Whether its columns are aggregates that are known here, and expressions of the keys: to be asked before rows are grouped for them. */
extern bool mr_served_columns(const Agg *agg);

#endif /* MR_WINDOW_ONE_PASS_PLAN_H */
