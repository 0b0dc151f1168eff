/*
 * unread.h: keys of payloads that no field reads: counted in samples, kept in millrace.unread_key.
 *
 * Lives with the program of a version, in a worker. Bounded: MR_UNREAD_MAX keys, and MR_UNREAD_SAMPLES events of a batch. The table
 * is appended to: when a key is new to this worker, and when its count has grown, every MR_UNREAD_PACE_US.
 */
#ifndef MR_UNREAD_H
#define MR_UNREAD_H

#include "postgres.h"

#include "program/batch.h"
#include "program/event_relation.h"

#define MR_UNREAD_MAX     64
#define MR_UNREAD_SAMPLES 64
#define MR_UNREAD_PACE_US (INT64CONST(600) * 1000000)

typedef struct MrUnread MrUnread;

/* In the current memory context. */
extern MrUnread *mr_unread_create(void);

/* Looks at samples of a batch that was decoded: spread over it, of a small one all. */
extern void mr_unread_look(MrUnread *unread, MrEventRelation *relation, const MrBatch *batch);

/* Writes what is due into the table, in the current transaction; now_us: mr_clock_us(). */
extern void mr_unread_write(MrUnread *unread, int32 pipeline_id, int64 now_us);

/* That transaction was committed. */
extern void mr_unread_written(MrUnread *unread, int64 now_us);

/* The keys of one event as a text[], NULL: none. For dry_run(). */
extern ArrayType *mr_unread_of(MrEventRelation *relation, const MrEvent *event);

#endif /* MR_UNREAD_H */
