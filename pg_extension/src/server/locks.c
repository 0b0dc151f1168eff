/*
 * locks.c: see locks.h for what each lock is for and the order they are taken in.
 */
#include "server/locks.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"

/* Lock classes (locktag_field4); pg_advisory_lock() uses 1 and 2. */
#define CLASS_PIPELINE  0x4d50
#define CLASS_PARTITION 0x4d51
#define CLASS_LANE      0x4d52
#define CLASS_RELAY     0x4d53
#define CLASS_LEDGER    0x4d54
#define CLASS_OWNER     0x4d54

void
mr_lock_pipeline(int32 pipeline_id, LOCKMODE lockmode)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, pipeline_id, 0, CLASS_PIPELINE);
	(void) LockAcquire(&tag, lockmode, false, false);
}

bool
mr_try_share_pipeline(int32 pipeline_id)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, pipeline_id, 0, CLASS_PIPELINE);
	return LockAcquire(&tag, ShareLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
mr_lock_partition(int32 pipeline_id, int32 partition)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, pipeline_id, partition, CLASS_PARTITION);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

bool
mr_try_lock_partition(int32 pipeline_id, int32 partition)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, pipeline_id, partition, CLASS_PARTITION);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
mr_unlock_partition(int32 pipeline_id, int32 partition)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, pipeline_id, partition, CLASS_PARTITION);
	(void) LockRelease(&tag, ExclusiveLock, false);
}

void
mr_lock_ledger(int32 pipeline_id, int32 lane_id)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, pipeline_id, lane_id, CLASS_LEDGER);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

bool
mr_try_lock_ledger(int32 pipeline_id, int32 lane_id)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, pipeline_id, lane_id, CLASS_LEDGER);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
mr_unlock_ledger(int32 pipeline_id, int32 lane_id)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, pipeline_id, lane_id, CLASS_LEDGER);
	(void) LockRelease(&tag, ExclusiveLock, false);
}

bool
mr_try_lock_lane(int32 lane_id)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, lane_id, 0, CLASS_LANE);
	return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
mr_unlock_lane(int32 lane_id)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, lane_id, 0, CLASS_LANE);
	(void) LockRelease(&tag, ExclusiveLock, true);
}

bool
mr_try_lock_relay(int32 pipeline_id)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, pipeline_id, 0, CLASS_RELAY);
	return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

bool
mr_is_relay_free(int32 pipeline_id)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, pipeline_id, 0, CLASS_RELAY);
	if (LockAcquire(&tag, ShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	(void) LockRelease(&tag, ShareLock, false);
	return true;
}

PG_FUNCTION_INFO_V1(mr_sql_try_lock_relay);
PG_FUNCTION_INFO_V1(mr_sql_is_relay_free);
PG_FUNCTION_INFO_V1(mr_sql_lock_owner);

/* millrace._try_lock_relay(pipeline_id integer) RETURNS boolean: until the session ends. */
Datum
mr_sql_try_lock_relay(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(mr_try_lock_relay(PG_GETARG_INT32(0)));
}

/* millrace._is_relay_free(pipeline_id integer) RETURNS boolean: at this moment. */
Datum
mr_sql_is_relay_free(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(mr_is_relay_free(PG_GETARG_INT32(0)));
}

/* millrace._lock_owner(owner regrole): exclusive until the transaction ends. */
Datum
mr_sql_lock_owner(PG_FUNCTION_ARGS)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, PG_GETARG_OID(0), 0, CLASS_OWNER);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	PG_RETURN_VOID();
}
