/*
 * The process's sign of life in the database: which pipelines it serves and what keeps them from working, in one call for
 * all of them, every few seconds and whenever something changes. The database calls an ingestor absent that is silent for
 * 9 s (38_presence.sql).
 *
 * The main thread only; part of the process.
 */
#ifndef MR_INGESTOR_INGESTOR_PRESENCE_H
#define MR_INGESTOR_INGESTOR_PRESENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "ingestor/control/control.h"
#include "ingestor/pipeline.h"

#define MR_PRESENCE_EVERY_MS 3000

typedef struct MrPresence
{
	char id[37];   /* a random uuid, of this life of the process */
	MrBuffer sent; /* what was reported last, as JSON */
	uint64_t
		losses;     /* connections lost when it was: once there are more, it may not have arrived */
	int64_t due_ms; /* report the same again */
	bool is_reporting;
} MrPresence;

extern void mr_presence_init(MrPresence *presence);
/* Reports when it is due. Called a few times a second. */
extern void mr_presence_step(MrPresence *presence, MrControl *control, MrPipeline *const *pipelines,
							 int count, int64_t now_ms);
extern void mr_presence_free(MrPresence *presence);

#endif
