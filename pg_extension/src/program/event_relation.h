/*
 * event_relation.h: the ephemeral relation `event` as a transform sees it.
 *
 *   fields ..., payload jsonb, raw bytea, topic text, partition integer, "offset" bigint, key bytea,
 *   headers jsonb, kafka_ts timestamptz, header_list millrace.header[], columns of the format ...  [, hidden ordinal integer]
 */
#ifndef MR_EVENT_RELATION_H
#define MR_EVENT_RELATION_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "nodes/bitmapset.h"

#include "decode/decode.h"
#include "decode/format.h"
#include "pipeline/pipeline.h"
#include "program/batch.h"

#define MR_EVENT_RELATION "event"

typedef struct MrEventRelation
{
	MrFormat *format; /* NULL: json */
	MrFields *fields;
	MrDecoder *decoder;
	TupleDesc visible;
	TupleDesc full;
	Bitmapset *used; /* attribute numbers the transform names */
	MrTopics *topics;
	/* of a format whose source leaves values out; fields from 0, see keep.h */
	Bitmapset *may_lack; /* such a value is no failure */
	bool keeps;          /* and the row that is there keeps its own */
} MrEventRelation;

/* Made in the current memory context, from the definition's format, fields, topics and reading. */
extern MrEventRelation *mr_event_relation_create(const MrDefinition *definition);

/*
 * Decodes one event into event->values/isnull (all visible columns; what the transform does not name stays
 * NULL). Returns why it cannot, or NULL; *tombstone: its format says that it has no payload, nothing was decoded. Allocates in
 * the current memory context.
 */
extern MrFailure *mr_event_relation_decode(MrEventRelation *relation, MrEvent *event,
										   bool *tombstone);

/* The column with the names of the fields that the source left out; InvalidAttrNumber: the format has none. */
extern AttrNumber mr_event_relation_left_out_column(const MrEventRelation *relation);

/* As much of event->values/isnull as is known without a payload: the columns of Kafka's that the transform names. */
extern void mr_event_relation_coordinates(MrEventRelation *relation, MrEvent *event);
/*
 * Reports the keys of an event's payload that neither a field nor the transform reads (decode/decode.h); none where the transform
 * has the whole payload.
 */
extern void mr_event_relation_unread(MrEventRelation *relation, const MrEvent *event,
									 MrJsonReport report, void *argument);

/* A decoded event with its ordinal as a row: columns as in `full`. */
extern void mr_event_relation_row(const MrEventRelation *relation, const MrEvent *event,
								  int32 ordinal, Datum *values, bool *isnull);

#endif /* MR_EVENT_RELATION_H */
