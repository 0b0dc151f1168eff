/*
 * errcode.h: the SQLSTATEs of class MR (MR000, too, is taken: millrace.explain() undoes by it); docs/architecture.md has
 * what they mean to others.
 */
#ifndef MR_ERRCODE_H
#define MR_ERRCODE_H

/* The ingestor acts upon these: common/sqlstate.h. */
#define MR_ERRCODE_STALE_EPOCH MAKE_SQLSTATE('M', 'R', '0', '0', '1')
#define MR_ERRCODE_STALE_LANE  MAKE_SQLSTATE('M', 'R', '0', '0', '2')

/* A batch has to be settled in smaller parts; says nothing of any event (mr_batch_give_back()). */
#define MR_ERRCODE_SPLIT MAKE_SQLSTATE('M', 'R', '0', '0', '9')

/* The share of failing events is above the pipeline's failure_share. */
#define MR_ERRCODE_FAILURE_SHARE MAKE_SQLSTATE('M', 'R', '0', '1', '0')

/* Of a dead letter: the server crashed with it. millrace.condition_name() calls it millrace_crashed. */
#define MR_ERRCODE_CRASHED MAKE_SQLSTATE('M', 'R', '0', '1', '1')

/* An update lacks a value, and there is no row to keep it of (program/keep.h): the row may be on its way. */
#define MR_ERRCODE_NO_OLD_ROW MAKE_SQLSTATE('M', 'R', '0', '1', '2')

#endif /* MR_ERRCODE_H */
