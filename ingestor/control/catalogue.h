/*
 * The calls that go over the control connection: functions of schema millrace with typed arguments. What an
 * answer holds: rows.h. `answer`, `owner` and `tag` as in control.h; answer may be NULL.
 */
#ifndef MR_INGESTOR_CATALOGUE_H
#define MR_INGESTOR_CATALOGUE_H

#include "ingestor/control/control.h"
#include "ingestor/control/rows.h"

typedef struct MrReply
{
	MrControlAnswer answer;
	void *owner;
	uint64_t tag;
} MrReply;

/* MrServedRow, of all pipelines. */
extern void mr_catalogue_pipelines(MrControl *control, MrReply reply);
/* MrRelayRow, of all pipelines whose dead letters go to Kafka. */
extern void mr_catalogue_relays(MrControl *control, MrReply reply);
/* Where partitions `first`, first + 1, ... begin. The answer: how many partitions are known then. */
extern void mr_catalogue_add_partitions(MrControl *control, const char *pipeline, int first,
										const int64_t *starts, int count, MrReply reply);
/* The same of one of several topics: where its partitions `first`, first + 1, ... begin. */
extern void mr_catalogue_add_topic_partitions(MrControl *control, const char *pipeline,
											  const char *topic, int first, const int64_t *starts,
											  int count, MrReply reply);
/* MrNumberRow, of the partitions from number `first` on. */
extern void mr_catalogue_numbers(MrControl *control, const char *pipeline, int first,
								 MrReply reply);
/* The topics that there are, names with commas between. The answer: how many of them changed something. */
extern void mr_catalogue_report_topics(MrControl *control, const char *pipeline, const char *names,
									   MrReply reply);
/* MrPositionRow, of all partitions of the pipeline. */
extern void mr_catalogue_positions(MrControl *control, const char *pipeline, MrReply reply);
/* A rewind to a time was resolved to an offset. The answer: the position that holds now. */
extern void mr_catalogue_set_position(MrControl *control, const char *pipeline, int32_t partition,
									  int64_t epoch, int64_t offset, MrReply reply);
extern void mr_catalogue_stop_partition(MrControl *control, const char *pipeline, int32_t partition,
										int64_t epoch, const char *error, const char *hint,
										MrReply reply);
/* The ends of partitions in Kafka; the arrays have `count` items, -1 in lows is not known. */
extern void mr_catalogue_report_ends(MrControl *control, const char *pipeline,
									 const int64_t *partitions, const int64_t *highs,
									 const int64_t *lows, int count, bool reads, MrReply reply);
/* What runs here, as a JSON object. */
extern void mr_catalogue_report(MrControl *control, const char *pipeline, const char *about,
								MrReply reply);

/* The process serves these pipelines: a JSON array (ingestor_presence.c). */
extern void mr_catalogue_presence(MrControl *control, const char *ingestor, const char *serves,
								  MrReply reply);

/* The answer of add_partitions or set_position; `when_none` when there is none. */
extern int64_t mr_catalogue_number(const PGresult *result, int64_t when_none);

#endif
