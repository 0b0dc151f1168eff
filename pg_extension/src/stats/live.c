/*
 * live.c: see live.h. Runs in workers, which add, in the supervisor and in any backend, which read.
 *
 * Rates: a ring of seconds and one of minutes keep what the totals were when each began. The rate over a window is what
 * came since it began, divided by its length. Entries are overwritten in place; a ring is longer than the windows that
 * are asked of it, so no reader looks at the entry that is overwritten.
 *
 * Slots are found by their pipeline. There are as many as there can be workers, so that each pipeline that runs has one. One
 * of a pipeline that was dropped is not freed: when all are taken, the one that was idle longest is taken over.
 */
#include "stats/live.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "server/clock.h"
#include "server/guc.h"

#define RING         64 /* more than 60, the longest window in seconds and in minutes */
#define SLICES       8  /* the last minute's, the present one, one that is being emptied */
#define SLICE_S      10
#define IDLE_US      INT64_C(600000000) /* a slot that was idle so long may be taken over */
#define US_PER_S     INT64_C(1000000)
#define S_PER_MINUTE 60

const int mr_live_window_s[MR_LIVE_WINDOWS] = {1, 10, 60, 300, 3600};

/* The totals when a second or a minute began. */
typedef struct Tick
{
	pg_atomic_uint64 number; /* of the second or minute, by the monotonic clock; 0: unused */
	pg_atomic_uint64 before[MR_LIVE_COUNTERS];
} Tick;

typedef struct Slice
{
	pg_atomic_uint64 number;
	pg_atomic_uint64 max_us[MR_LATENCIES];
	pg_atomic_uint64 largest; /* batch, in events */
	pg_atomic_uint32 count[MR_LATENCIES][MR_HISTOGRAM_BUCKETS];
} Slice;

typedef struct Live
{
	/* whose it is: changed under the lock only */
	Oid database;
	Oid extension;
	int32 pipeline_id;
	int64 since_us;
	pg_atomic_uint64 used_us;
	pg_atomic_uint64 total[MR_LIVE_COUNTERS];
	pg_atomic_uint64 without_time;
	pg_atomic_uint64 from_future;
	Tick seconds[RING];
	Tick minutes[RING];
	Slice slices[SLICES];
	pg_atomic_uint64 latency[MR_LATENCIES][MR_HISTOGRAM_BUCKETS];
	pg_atomic_uint64 sum_us[MR_LATENCIES];
	pg_atomic_uint64 sizes[MR_BATCH_SIZES];
	/* for the rows of minutes; `taken` is the supervisor's */
	pg_atomic_uint64 minute_max_us[MR_LATENCIES];
	pg_atomic_uint64 minute_largest;
	uint64 taken[MR_LATENCIES][MR_HISTOGRAM_BUCKETS];
	uint64 taken_batches;
	uint64 taken_busy_us;
} Live;

typedef struct Lives
{
	LWLock *lock;
	int slots;
	int used; /* the first ones; those behind them were never touched. Under the lock */
	Live live[FLEXIBLE_ARRAY_MEMBER];
} Lives;

static Lives *lives = NULL;

static shmem_request_hook_type prev_request_hook = NULL;
static shmem_startup_hook_type prev_startup_hook = NULL;

static Size
shmem_size(void)
{
	return add_size(offsetof(Lives, live), mul_size(mr_max_workers, sizeof(Live)));
}

static void
request_shmem(void)
{
	if (prev_request_hook)
		prev_request_hook();
	RequestAddinShmemSpace(shmem_size());
	RequestNamedLWLockTranche("millrace_live", 1);
}

/* All zero is the state of an atomic whose value is 0 on the platforms that have 64-bit atomics. */
static void
startup_shmem(void)
{
	bool found;

	if (prev_startup_hook)
		prev_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	lives = ShmemInitStruct("millrace live statistics", shmem_size(), &found);
	if (!found)
	{
		lives->slots = mr_max_workers;
		lives->used = 0;
		lives->lock = &GetNamedLWLockTranche("millrace_live")->lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

void
mr_live_install_hooks(void)
{
	prev_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

static bool
is_of(const Live *live, Oid extension, int32 pipeline_id)
{
	return live->database == MyDatabaseId && live->extension == extension &&
		   live->pipeline_id == pipeline_id;
}

/* The pipeline's slot; NULL: it has none. The lock is held. */
static Live *
find(Oid extension, int32 pipeline_id)
{
	for (int i = 0; i < lives->used; i++)
		if (is_of(&lives->live[i], extension, pipeline_id))
			return &lives->live[i];
	return NULL;
}

/* A slot that was never used, else the one that was idle longest, if it was so for long. NULL: neither. The lock is held. */
static Live *
find_unused(int64 now)
{
	Live *oldest = &lives->live[0];

	if (lives->used < lives->slots)
		return &lives->live[lives->used++];
	for (int i = 1; i < lives->used; i++)
		if (pg_atomic_read_u64(&lives->live[i].used_us) < pg_atomic_read_u64(&oldest->used_us))
			oldest = &lives->live[i];
	return now - (int64) pg_atomic_read_u64(&oldest->used_us) > IDLE_US ? oldest : NULL;
}

static Live *
take_slot(Oid extension, int32 pipeline_id, int64 now)
{
	Live *live;

	LWLockAcquire(lives->lock, LW_EXCLUSIVE);
	live = find(extension, pipeline_id);
	if (live == NULL && (live = find_unused(now)) != NULL)
	{
		memset(live, 0, sizeof(*live));
		live->database = MyDatabaseId;
		live->extension = extension;
		live->pipeline_id = pipeline_id;
		live->since_us = now;
		pg_atomic_write_u64(&live->used_us, live->since_us);
	}
	LWLockRelease(lives->lock);
	return live;
}

/* The worker's slot, unless another pipeline has taken it over. */
static Live *
slot_of(MrLiveSeat *seat, Oid extension, int32 pipeline_id, int64 now)
{
	if (seat->slot != NULL && is_of(seat->slot, extension, pipeline_id))
		return seat->slot;
	seat->slot = now >= seat->look_at ? take_slot(extension, pipeline_id, now) : NULL;
	if (seat->slot == NULL && now >= seat->look_at)
		seat->look_at = now + US_PER_S;
	return seat->slot;
}

/* The totals as they are now, unless the second or minute has begun before: the number says that they are there. */
static void
begin_tick(Tick *ring, uint64 number, Live *live)
{
	Tick *tick = &ring[number % RING];

	if (pg_atomic_read_u64(&tick->number) == number)
		return;
	for (int i = 0; i < MR_LIVE_COUNTERS; i++)
		pg_atomic_write_u64(&tick->before[i], pg_atomic_read_u64(&live->total[i]));
	pg_write_barrier();
	pg_atomic_write_u64(&tick->number, number);
}

static Slice *
begin_slice(Live *live, uint64 number)
{
	Slice *slice = &live->slices[number % SLICES];

	if (pg_atomic_read_u64(&slice->number) == number)
		return slice;
	pg_atomic_write_u64(&slice->largest, 0);
	for (int l = 0; l < MR_LATENCIES; l++)
	{
		pg_atomic_write_u64(&slice->max_us[l], 0);
		for (int i = 0; i < MR_HISTOGRAM_BUCKETS; i++)
			pg_atomic_write_u32(&slice->count[l][i], 0);
	}
	pg_write_barrier();
	pg_atomic_write_u64(&slice->number, number);
	return slice;
}

static void
raise_to(pg_atomic_uint64 *max, uint64 value)
{
	uint64 old = pg_atomic_read_u64(max);

	while (old < value && !pg_atomic_compare_exchange_u64(max, &old, value))
		;
}

static int
size_of_batch(uint64 events)
{
	int size = 0;

	while (size < MR_BATCH_BOUNDS && events > UINT64CONST(1) << (2 * size))
		size++;
	return size;
}

void
mr_live_add(MrLiveSeat *seat, Oid extension, int32 pipeline_id, const MrObservation *seen)
{
	int64 now = mr_clock_us();
	Live *live = lives != NULL ? slot_of(seat, extension, pipeline_id, now) : NULL;
	Slice *slice;

	if (live == NULL)
		return;
	pg_atomic_write_u64(&live->used_us, now);
	begin_tick(live->seconds, now / US_PER_S, live);
	begin_tick(live->minutes, now / (US_PER_S * S_PER_MINUTE), live);
	slice = begin_slice(live, now / (US_PER_S * SLICE_S));
	for (int i = 0; i < MR_LIVE_COUNTERS; i++)
		if (seen->counters[i] != 0)
			pg_atomic_fetch_add_u64(&live->total[i], seen->counters[i]);
	for (int l = 0; l < MR_LATENCIES; l++)
	{
		for (int i = 0; i < MR_HISTOGRAM_BUCKETS; i++)
		{
			if (seen->latency[l][i] == 0)
				continue;
			pg_atomic_fetch_add_u64(&live->latency[l][i], seen->latency[l][i]);
			pg_atomic_fetch_add_u32(&slice->count[l][i], seen->latency[l][i]);
		}
		pg_atomic_fetch_add_u64(&live->sum_us[l], seen->sum_us[l]);
		/* one more than the longest: 0 is none */
		raise_to(&live->minute_max_us[l], seen->max_us[l] + 1);
		raise_to(&slice->max_us[l], seen->max_us[l] + 1);
	}
	pg_atomic_fetch_add_u64(&live->sizes[size_of_batch(seen->counters[MR_LIVE_TAKEN])], 1);
	raise_to(&live->minute_largest, seen->counters[MR_LIVE_TAKEN]);
	raise_to(&slice->largest, seen->counters[MR_LIVE_TAKEN]);
	if (seen->without_time != 0)
		pg_atomic_fetch_add_u64(&live->without_time, seen->without_time);
	if (seen->from_future != 0)
		pg_atomic_fetch_add_u64(&live->from_future, seen->from_future);
}

/* What the totals were when the first second (or minute) from `number` on began; those of now when none did. */
static void
totals_at(const Tick *ring, uint64 number, const uint64 *now, uint64 *then)
{
	uint64 first = PG_UINT64_MAX;

	memcpy(then, now, MR_LIVE_COUNTERS * sizeof(uint64));
	for (int i = 0; i < RING; i++)
	{
		const Tick *tick = &ring[i];
		uint64 its = pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &tick->number));

		if (its < number || its >= first)
			continue;
		first = its;
		pg_read_barrier();
		for (int k = 0; k < MR_LIVE_COUNTERS; k++)
			then[k] = pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &tick->before[k]));
	}
}

static void
read_rates(const Live *live, int64 now, MrLiveReading *reading)
{
	for (int w = 0; w < MR_LIVE_WINDOWS; w++)
	{
		bool long_window = mr_live_window_s[w] > S_PER_MINUTE;
		int64 unit_us = long_window ? US_PER_S * S_PER_MINUTE : US_PER_S;
		int64 window_us = mr_live_window_s[w] * US_PER_S;
		int64 begin = Max(now - window_us, 0) / unit_us;
		int64 elapsed_us = now - Max(begin * unit_us, live->since_us);
		uint64 then[MR_LIVE_COUNTERS];

		totals_at(long_window ? live->minutes : live->seconds, begin, reading->total, then);
		for (int i = 0; i < MR_LIVE_COUNTERS; i++)
			reading->rate[w][i] = reading->total[i] > then[i]
									  ? (double) (reading->total[i] - then[i]) * US_PER_S /
											(double) Max(elapsed_us, US_PER_S)
									  : 0;
	}
}

/* The slices of the last minute, the present one included. */
static void
read_slices(Live *live, int64 now, MrLiveReading *reading)
{
	uint64 last = now / (US_PER_S * SLICE_S);

	memset(reading->latency, 0, sizeof(reading->latency));
	reading->largest = 0;
	for (int l = 0; l < MR_LATENCIES; l++)
		reading->max_us[l] = -1;
	for (int s = 0; s < SLICES; s++)
	{
		Slice *slice = &live->slices[s];
		uint64 number = pg_atomic_read_u64(&slice->number);

		if (number + S_PER_MINUTE / SLICE_S < last || number > last)
			continue;
		reading->largest = Max(reading->largest, pg_atomic_read_u64(&slice->largest));
		for (int l = 0; l < MR_LATENCIES; l++)
		{
			for (int i = 0; i < MR_HISTOGRAM_BUCKETS; i++)
				reading->latency[l][i] += pg_atomic_read_u32(&slice->count[l][i]);
			reading->max_us[l] =
				Max(reading->max_us[l], (int64) pg_atomic_read_u64(&slice->max_us[l]) - 1);
		}
	}
}

static int
count_used(void)
{
	int used;

	if (lives == NULL)
		return 0;
	LWLockAcquire(lives->lock, LW_SHARED);
	used = lives->used;
	LWLockRelease(lives->lock);
	return used;
}

void
mr_live_read(Oid extension, void (*take)(void *arg, const MrLiveReading *reading), void *arg)
{
	MrLiveReading *reading = palloc(sizeof(MrLiveReading));

	for (int i = 0; i < count_used(); i++)
	{
		Live *live = &lives->live[i];
		int64 now = mr_clock_us();
		bool ours;

		LWLockAcquire(lives->lock, LW_SHARED);
		ours = live->database == MyDatabaseId && live->extension == extension;
		reading->pipeline_id = live->pipeline_id;
		LWLockRelease(lives->lock);
		if (!ours)
			continue;
		for (int k = 0; k < MR_LIVE_COUNTERS; k++)
			reading->total[k] = pg_atomic_read_u64(&live->total[k]);
		reading->without_time = pg_atomic_read_u64(&live->without_time);
		reading->from_future = pg_atomic_read_u64(&live->from_future);
		read_rates(live, now, reading);
		read_slices(live, now, reading);
		for (int k = 0; k < MR_BATCH_SIZES; k++)
			reading->sizes[k] = pg_atomic_read_u64(&live->sizes[k]);
		for (int l = 0; l < MR_LATENCIES; l++)
		{
			for (int b = 0; b < MR_HISTOGRAM_BUCKETS; b++)
				reading->latency_total[l][b] = pg_atomic_read_u64(&live->latency[l][b]);
			reading->sum_us[l] = pg_atomic_read_u64(&live->sum_us[l]);
		}
		take(arg, reading);
	}
	pfree(reading);
}

bool
mr_live_take_minute(Oid extension, int32 pipeline_id, MrLiveMinute *minute)
{
	Live *live = NULL;
	uint64 batches;
	uint64 busy_us;

	if (lives != NULL)
	{
		LWLockAcquire(lives->lock, LW_SHARED);
		live = find(extension, pipeline_id);
		LWLockRelease(lives->lock);
	}
	if (live == NULL)
		return false;
	for (int l = 0; l < MR_LATENCIES; l++)
	{
		for (int i = 0; i < MR_HISTOGRAM_BUCKETS; i++)
		{
			uint64 now = pg_atomic_read_u64(&live->latency[l][i]);

			minute->latency[l][i] = now - live->taken[l][i];
			live->taken[l][i] = now;
		}
		minute->max_us[l] = (int64) pg_atomic_exchange_u64(&live->minute_max_us[l], 0) - 1;
	}
	minute->largest = pg_atomic_exchange_u64(&live->minute_largest, 0);
	batches = pg_atomic_read_u64(&live->total[MR_LIVE_BATCHES]);
	busy_us = pg_atomic_read_u64(&live->total[MR_LIVE_BUSY_US]);
	minute->batches = batches - live->taken_batches;
	minute->busy_us = busy_us - live->taken_busy_us;
	live->taken_batches = batches;
	live->taken_busy_us = busy_us;
	return true;
}
