/*
 * locks.c: see locks.h for what each lock is for and the order they are taken in.
 */
#include "server/locks.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"

/* Lock classes (locktag_field4), each its own; pg_advisory_lock() uses 1 and 2. */
typedef enum LockClass
{
	CLASS_PIPELINE = 0x4d50,
	CLASS_PARTITION,
	CLASS_LANE,
	CLASS_RELAY,
	CLASS_LEDGER,
	CLASS_OWNER,
	CLASS_WINDOW,
	CLASS_STREAM,
	CLASS_IDEMPOTENCY_KEY
} LockClass;

/* How long a lock is held, and whether it is waited for. */
#define OF_SESSION     true
#define OF_TRANSACTION false
#define AT_ONCE        true
#define WAITING        false

static bool
acquire(LockClass class, uint32 object, uint32 part, LOCKMODE mode, bool of_session, bool at_once)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, object, part, class);
	return LockAcquire(&tag, mode, of_session, at_once) != LOCKACQUIRE_NOT_AVAIL;
}

static void
release(LockClass class, uint32 object, uint32 part, LOCKMODE mode, bool of_session)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, object, part, class);
	(void) LockRelease(&tag, mode, of_session);
}

void
mr_lock_pipeline(int32 pipeline_id, LOCKMODE lockmode)
{
	(void) acquire(CLASS_PIPELINE, pipeline_id, 0, lockmode, OF_TRANSACTION, WAITING);
}

bool
mr_try_share_pipeline(int32 pipeline_id)
{
	return acquire(CLASS_PIPELINE, pipeline_id, 0, ShareLock, OF_TRANSACTION, AT_ONCE);
}

void
mr_lock_partition(int32 pipeline_id, int32 partition)
{
	(void) acquire(CLASS_PARTITION, pipeline_id, partition, ExclusiveLock, OF_TRANSACTION, WAITING);
}

bool
mr_try_lock_partition(int32 pipeline_id, int32 partition)
{
	return acquire(CLASS_PARTITION, pipeline_id, partition, ExclusiveLock, OF_TRANSACTION, AT_ONCE);
}

void
mr_unlock_partition(int32 pipeline_id, int32 partition)
{
	release(CLASS_PARTITION, pipeline_id, partition, ExclusiveLock, OF_TRANSACTION);
}

void
mr_lock_ledger(int32 pipeline_id, int32 lane_id)
{
	(void) acquire(CLASS_LEDGER, pipeline_id, lane_id, ExclusiveLock, OF_TRANSACTION, WAITING);
}

bool
mr_try_lock_ledger(int32 pipeline_id, int32 lane_id)
{
	return acquire(CLASS_LEDGER, pipeline_id, lane_id, ExclusiveLock, OF_TRANSACTION, AT_ONCE);
}

void
mr_unlock_ledger(int32 pipeline_id, int32 lane_id)
{
	release(CLASS_LEDGER, pipeline_id, lane_id, ExclusiveLock, OF_TRANSACTION);
}

bool
mr_try_lock_lane(int32 lane_id)
{
	return acquire(CLASS_LANE, lane_id, 0, ExclusiveLock, OF_SESSION, AT_ONCE);
}

void
mr_unlock_lane(int32 lane_id)
{
	release(CLASS_LANE, lane_id, 0, ExclusiveLock, OF_SESSION);
}

bool
mr_try_lock_relay(int32 pipeline_id, int32 window_id)
{
	return acquire(CLASS_RELAY, pipeline_id, window_id, ExclusiveLock, OF_SESSION, AT_ONCE);
}

bool
mr_is_relay_free(int32 pipeline_id, int32 window_id)
{
	if (!acquire(CLASS_RELAY, pipeline_id, window_id, ShareLock, OF_TRANSACTION, AT_ONCE))
		return false;
	release(CLASS_RELAY, pipeline_id, window_id, ShareLock, OF_TRANSACTION);
	return true;
}

int32
mr_lock_stream(int32 pipeline_id, int32 first, int32 n)
{
	for (int32 stream = first; stream < first + n; stream++)
		if (acquire(CLASS_STREAM, pipeline_id, stream, ExclusiveLock, OF_TRANSACTION, AT_ONCE))
			return stream;
	(void) acquire(CLASS_STREAM, pipeline_id, first, ExclusiveLock, OF_TRANSACTION, WAITING);
	return first;
}

PG_FUNCTION_INFO_V1(mr_sql_try_lock_relay);
PG_FUNCTION_INFO_V1(mr_sql_is_relay_free);
PG_FUNCTION_INFO_V1(mr_sql_lock_owner);
PG_FUNCTION_INFO_V1(mr_sql_lock_window);
PG_FUNCTION_INFO_V1(mr_sql_lock_idempotency_key);

/* millrace._try_lock_relay(pipeline_id integer, window_id integer) RETURNS boolean: until the session ends. */
Datum
mr_sql_try_lock_relay(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(mr_try_lock_relay(PG_GETARG_INT32(0), PG_GETARG_INT32(1)));
}

/* millrace._is_relay_free(pipeline_id integer, window_id integer) RETURNS boolean: at this moment. */
Datum
mr_sql_is_relay_free(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(mr_is_relay_free(PG_GETARG_INT32(0), PG_GETARG_INT32(1)));
}

/* millrace._lock_owner(owner regrole): exclusive until the transaction ends. */
Datum
mr_sql_lock_owner(PG_FUNCTION_ARGS)
{
	(void) acquire(CLASS_OWNER, PG_GETARG_OID(0), 0, ExclusiveLock, OF_TRANSACTION, WAITING);
	PG_RETURN_VOID();
}

/* millrace._lock_window(window_id integer, wait boolean) RETURNS boolean: exclusive until the transaction ends. */
Datum
mr_sql_lock_window(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(acquire(CLASS_WINDOW, PG_GETARG_INT32(0), 0, ExclusiveLock, OF_TRANSACTION,
						   PG_GETARG_BOOL(1) ? WAITING : AT_ONCE));
}

/* millrace._lock_idempotency_key(hash bigint): exclusive until the transaction ends. */
Datum
mr_sql_lock_idempotency_key(PG_FUNCTION_ARGS)
{
	uint64 hash = (uint64) PG_GETARG_INT64(0);

	(void) acquire(CLASS_IDEMPOTENCY_KEY, (uint32) (hash >> 32), (uint32) hash, ExclusiveLock,
				   OF_TRANSACTION, WAITING);
	PG_RETURN_VOID();
}
