/*
 * history.c: see history.h.
 *
 * Rows are removed from a remembered floor on: under an old snapshot the removed ones stay in the index, and
 * stepping over them again each time would cost more and more.
 */
#include "postgres.h"

#include "pipeline/history.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "server/clock.h"
#include "server/xact.h"

#define ROWS_KEPT   300 /* at most one a second */
#define INTERVAL_US INT64_C(10000000)

#define PURGE_STEP        1000
#define PURGE_INTERVAL_US INTERVAL_US
#define PURGE_PAUSE_US    INT64_C(1000000) /* between steps, when there is more to delete */

typedef struct FloorKey
{
	int32 pipeline_id;
	int32 partition;
} FloorKey;

typedef struct Floor
{
	FloorKey key;
	int64 seq;    /* everything below is removed */
	uint32 round; /* the last one that met the partition */
} Floor;

static HTAB *floors = NULL;
static uint32 current_round = 0;

/* Every operator by its schema: this runs as superuser, and a database's owner may set its search_path. */
static const char *const newest_sql =
	"SELECT t.pipeline_id, t.partition, (SELECT r.seq FROM millrace.progress AS r WHERE "
	"r.pipeline_id OPERATOR(pg_catalog.=) t.pipeline_id AND "
	"r.partition OPERATOR(pg_catalog.=) t.partition ORDER BY r.seq DESC LIMIT 1) "
	"FROM millrace.partition AS t";
static const char *const delete_sql =
	"DELETE FROM millrace.progress WHERE pipeline_id OPERATOR(pg_catalog.=) $1 AND "
	"partition OPERATOR(pg_catalog.=) $2 AND seq OPERATOR(pg_catalog.>=) $3 AND "
	"seq OPERATOR(pg_catalog.<) $4";

static const char *const purge_sql = "SELECT millrace._purge_expired(" CppAsString2(PURGE_STEP) ")";
static const char *const empty_sql = "SELECT millrace._empty_idempotency_slot()";

static Floor *
floor_of(int32 pipeline_id, int32 partition)
{
	FloorKey key = {pipeline_id, partition};
	bool found;
	Floor *floor;

	if (floors == NULL)
	{
		HASHCTL control = {.keysize = sizeof(FloorKey), .entrysize = sizeof(Floor)};

		floors = hash_create("millrace progress floors", 64, &control, HASH_ELEM | HASH_BLOBS);
	}
	floor = hash_search(floors, &key, HASH_ENTER, &found);
	if (!found)
		floor->seq = PG_INT64_MIN;
	floor->round = current_round;
	return floor;
}

/* Of partitions that were not met: their pipelines were dropped. */
static void
forget_others(void)
{
	HASH_SEQ_STATUS all;
	Floor *floor;

	if (floors == NULL)
		return;
	hash_seq_init(&all, floors);
	while ((floor = hash_seq_search(&all)) != NULL)
		if (floor->round != current_round)
			(void) hash_search(floors, &floor->key, HASH_REMOVE, NULL);
}

static void
trim_partition(HeapTuple row, TupleDesc desc)
{
	static Oid types[] = {INT4OID, INT4OID, INT8OID, INT8OID};
	Datum values[4];
	bool isnull;
	int64 bound;
	Floor *floor;

	values[0] = SPI_getbinval(row, desc, 1, &isnull);
	values[1] = SPI_getbinval(row, desc, 2, &isnull);
	bound = DatumGetInt64(SPI_getbinval(row, desc, 3, &isnull)) - ROWS_KEPT;
	if (isnull)
		return;
	floor = floor_of(DatumGetInt32(values[0]), DatumGetInt32(values[1]));
	if (bound == floor->seq)
		return;
	if (bound < floor->seq)
		floor->seq = PG_INT64_MIN; /* the position was lost, and set again */
	values[2] = Int64GetDatum(floor->seq);
	values[3] = Int64GetDatum(bound);
	if (SPI_execute_with_args(delete_sql, 4, types, values, NULL, false, 0) != SPI_OK_DELETE)
		elog(ERROR, "could not remove old progress");
	floor->seq = bound;
}

static void
trim(void *arg)
{
	if (!mr_xact_begin("removing old progress"))
		return;
	current_round++;
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	if (SPI_execute(newest_sql, true, 0) == SPI_OK_SELECT)
	{
		SPITupleTable *table = SPI_tuptable;

		for (uint64 i = 0; i < table->numvals; i++)
			trim_partition(table->vals[i], table->tupdesc);
	}
	SPI_finish();
	PopActiveSnapshot();
	mr_xact_commit();
	forget_others();
}

void
mr_history_trim(void)
{
	static int64 next = 0;
	int64 now = mr_clock_us();

	if (now < next)
		return;
	next = now + INTERVAL_US;
	if (mr_xact_guard(trim, NULL) || floors == NULL)
		return;
	hash_destroy(floors); /* they are of removals that were undone */
	floors = NULL;
}

typedef struct Removal
{
	const char *activity;
	const char *sql; /* one value */
	Datum result;    /* which is passed by value */
} Removal;

static void
remove_old(void *arg)
{
	Removal *removal = arg;
	bool isnull;

	if (!mr_xact_begin(removal->activity))
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	if (SPI_execute(removal->sql, false, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not run \"%s\"", removal->sql);
	removal->result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	SPI_finish();
	PopActiveSnapshot();
	mr_xact_commit();
}

void
mr_history_purge(void)
{
	static int64 next = 0;
	int64 now = mr_clock_us();
	Removal removal = {"removing old dead letters", purge_sql, Int64GetDatum(0)};
	bool full; /* there may be more to delete */

	if (now < next)
		return;
	full = mr_xact_guard(remove_old, &removal) && DatumGetInt64(removal.result) >= PURGE_STEP;
	next = now + (full ? PURGE_PAUSE_US : PURGE_INTERVAL_US);
}

void
mr_history_empty_keys(void)
{
	static int64 next = 0;
	int64 now = mr_clock_us();
	Removal removal = {"removing old keys of requests", empty_sql, BoolGetDatum(false)};

	if (now < next)
		return;
	next = now + INTERVAL_US;
	(void) mr_xact_guard(remove_old, &removal);
}
