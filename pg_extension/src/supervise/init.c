/*
 * init.c: loading of the library. In the postmaster (shared_preload_libraries) it declares settings, asks
 * for shared memory and registers the launcher; loaded later, into one session, the SQL functions that need
 * no shared memory work and the others say what to do.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "server/guc.h"
#include "server/shmem.h"
#include "stats/live.h"
#include "supervise/launcher.h"

PG_MODULE_MAGIC;

void _PG_init(void);

void
_PG_init(void)
{
	mr_guc_define(process_shared_preload_libraries_in_progress);
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	mr_shmem_install_hooks();
	mr_live_install_hooks();
	mr_launcher_register();
}
