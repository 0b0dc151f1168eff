/*
 * write_arrange.h: in which order the rows of a batch are written.
 *
 * By the conflict key, or else the primary key: two lanes that upsert the same rows do not deadlock, and a random
 * key costs less. As long as each event has one row, groups are in the order of the key; with several rows per
 * event, groups are in the order of the key of their first row. With ordering => 'key' an append is in the order of
 * the events, unless nothing can depend on the order.
 *
 * Where the rows of one key take effect one after another (program->in_order), those of a key are in the order of their
 * events; with several rows per event, groups are in the order of the events.
 */
#ifndef MR_WRITE_ARRANGE_H
#define MR_WRITE_ARRANGE_H

#include "program/program.h"

typedef struct MrArrangement
{
	int *rows;   /* their numbers, in the order they are written */
	int *groups; /* group i, rows of one event: rows[groups[i]] .. rows[groups[i + 1] - 1] */
	int ngroups;
	int *
		later; /* in a program that writes in_order: the place in rows of the next one with the same key, -1 none */
	int *place_of; /* besides, by the row's number */
	int longest;   /* besides: so many rows have one key */
} MrArrangement;

/* Arranges the rows that are not dropped; of an upsert's rows with one key, drops those that make no difference. */
extern void mr_write_arrange(MrProgram *program, MrBatch *batch, MrArrangement *result);

#endif /* MR_WRITE_ARRANGE_H */
