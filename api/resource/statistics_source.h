/*
 * Where the statistics of the process come from: on the main thread's loop and a connection of its own they are rendered at
 * most once per MR_STATISTICS_FRESH_MS, whichever threads ask. A thread that asks while they are rendered gets the same
 * rendering; it is woken by its loop, and depends on no other thread that serves clients.
 */
#ifndef MR_API_STATISTICS_SOURCE_H
#define MR_API_STATISTICS_SOURCE_H

#include "api/control/shared_text.h"
#include "api/database/pool.h"
#include "api/request/etag.h"

#define MR_STATISTICS_FRESH_MS 100

typedef struct MrStatisticsSource MrStatisticsSource;
typedef struct MrStatisticsReader MrStatisticsReader;

/* The document, a line, or why there is none. Who has one holds a reference to its text. */
typedef struct MrStatisticsRendering
{
	MrQueryFailure failure;
	bool has_error;
	MrPgError error;
	MrSharedText *text; /* NULL unless failure is MR_QUERY_OK */
	char tag[MR_ETAG_SIZE];
	int64_t begun_ms; /* when its query began: its age counts from there */
} MrStatisticsRendering;

/* The pool is for it alone: one connection is enough. */
extern MrStatisticsSource *mr_statistics_source_new(const MrPoolSetup *pool);
/* After its readers. */
extern void mr_statistics_source_free(MrStatisticsSource *source);
/* As of its last tick. Any thread, as all below. */
extern bool mr_statistics_source_is_connected(MrStatisticsSource *source);
extern bool mr_statistics_source_is_in_trouble(MrStatisticsSource *source);

/* A thread, with the eventfd that wakes it when there is something to take. */
extern MrStatisticsReader *mr_statistics_source_attach(MrStatisticsSource *source, int fd);
/* It wants nothing any more. */
extern void mr_statistics_source_detach(MrStatisticsSource *source, MrStatisticsReader *reader);
/* Gives a fresh rendering; false: there is none, and the reader will be woken for one, or for why it fails. */
extern bool mr_statistics_source_ask(MrStatisticsSource *source, MrStatisticsReader *reader,
									 MrStatisticsRendering *rendering);
/* What the reader was woken for; false: nothing. */
extern bool mr_statistics_source_take(MrStatisticsSource *source, MrStatisticsReader *reader,
									  MrStatisticsRendering *rendering);

extern bool mr_statistics_are_fresh(const MrStatisticsRendering *rendering);

#endif
