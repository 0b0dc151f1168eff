/* One partition, and what it has asked for: for the tests of partition.c. */
#ifndef MR_TEST_PARTITION_WORLD_H
#define MR_TEST_PARTITION_WORLD_H

#include "ingestor/fetch/partition.h"

/* What the partition asked for so far. */
typedef struct Asked
{
	bool fetch;
	int64_t fetch_from;
	bool wants_assign;
	int64_t due_ms;
	int watermarks_asked, fenced;
	int64_t located;
	int64_t moved_to;
	char stopped[512];
	char stop_hint[512];
} Asked;

extern Asked asked;
extern MrFetchPartition *const part;
extern MrMoment at;

extern int setup(void **state);
extern void carry_out(const MrEffects *effects);
extern bool wants_assign(int64_t now_ms);
/* Is the message to be staged? */
extern bool check(int64_t offset, int64_t ts, uint32_t crc);
extern void watermarks(bool ok, int64_t low, int64_t high);
extern void seen(uint64_t call, int64_t epoch, int64_t next_offset, bool stopped);
/* Granted, and assigned with the given identity. */
extern void assign(int64_t next_offset, int64_t last_offset);

/* One event: a function of partition.h with its arguments between the partition and the effects. */
#define EVENT(function_, ...)                                                                      \
	do                                                                                             \
	{                                                                                              \
		MrEffects effects_ = {0};                                                                  \
		function_(part, ##__VA_ARGS__, &effects_);                                                 \
		carry_out(&effects_);                                                                      \
	} while (0)

#endif
