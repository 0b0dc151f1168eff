/*
 * work_record.c: see work_record.h. Runs in workers.
 *
 * Which event a plan is at is not stored for each (the scan is the executor's, a hook on it would cost something
 * for every event): the handlers of SIGSEGV, SIGBUS, SIGILL and SIGABRT look at the plan's scan, write it down, and
 * let the signal take its default action, core file included. A SIGKILL leaves it unknown, and smaller batches find it.
 */
#include "run/work_record.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/elog.h"
#include "utils/timestamp.h"

#include "server/failure.h"
#include "pipeline/partition.h"
#include "program/plan.h"

#define FILE_BYTES  4096 /* at first; enough for some 150 partitions */
#define STACK_BYTES (64 * 1024)

static MrWorkRecord nobodys;
MrWorkRecord *mr_work = &nobodys;

static Size mapped_bytes = 0;
static char path[MAXPGPATH];
static const MrBatch *batch_at_work = NULL;
static const MrTopics *topics_at_work = NULL;
static emit_log_hook_type next_log_hook = NULL;

/* The event a plan is at. Reads memory only: it is called in a process that has crashed. */
static const MrEvent *
event_of_plan(void)
{
	int ordinal = batch_at_work != NULL ? mr_plan_at_work() : -1;

	if (ordinal >= 0 && mr_work->stage >= MR_STAGE_WRITE)
		ordinal = ordinal < batch_at_work->nrows ? batch_at_work->rows[ordinal].event : -1;
	return ordinal >= 0 && ordinal < batch_at_work->nevents ? &batch_at_work->events[ordinal]
															: NULL;
}

bool
mr_work_place(int32 *partition, int64 *offset)
{
	const MrEvent *event = mr_work->at_offset == MR_WORK_UNKNOWN ? event_of_plan() : NULL;

	*partition = event != NULL ? event->partition : mr_work->at_partition;
	*offset = event != NULL ? event->offset : mr_work->at_offset;
	return *offset != MR_WORK_UNKNOWN;
}

const char *
mr_work_partition_text(int32 partition)
{
	return topics_at_work != NULL ? mr_topics_text(topics_at_work, partition)
								  : psprintf("%d", partition);
}

/*
 * SA_RESETHAND: raised again, the signal ends the process once the handler has returned. A SIGABRT of the postmaster is
 * its SIGQUIT under send_abort_for_crash (from PostgreSQL 16 on), and says nothing of this process.
 */
static void
note_crash(int number, siginfo_t *info, void *context)
{
	const MrEvent *event = mr_work->running ? event_of_plan() : NULL;

	if (number == SIGABRT && info->si_code == SI_USER && info->si_pid == PostmasterPid)
		mr_work->innocent = true;
	else if (event != NULL)
		mr_work_at(event);
	(void) raise(number);
}

/* The postmaster ends all processes because another one crashed, or because of an immediate shutdown. */
static void
note_innocence(int number)
{
	mr_work->innocent = true;
	_exit(2); /* as SignalHandlerForCrashExit() does, and for its reasons */
}

/*
 * PANIC and FATAL end the process. When the disk is full, or the session is terminated, no event is to blame for it.
 */
static void
note_end(ErrorData *error)
{
	if (error->elevel >= FATAL)
	{
		mr_work->fatal = mr_error_is_of_the_data(error->sqlerrcode);
		mr_work->innocent = !mr_work->fatal;
	}
	if (next_log_hook != NULL)
		next_log_hook(error);
}

static void
handle_signals(void)
{
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGABRT};
	static char stack[STACK_BYTES];
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_sigaction = note_crash,
							   .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND};

	(void) sigemptyset(&action.sa_mask);
	(void) sigaltstack(&alternate, NULL); /* also for a process that has used up its own */
	for (int i = 0; i < lengthof(crashes); i++)
		(void) sigaction(crashes[i], &action, NULL);
	pqsignal(SIGQUIT, note_innocence);
	next_log_hook = emit_log_hook;
	emit_log_hook = note_end;
}

/*
 * The file with that many bytes, all zero and allocated: a write to a hole could end the process when the disk is
 * full.
 */
static MrWorkRecord *
map_file(Size bytes)
{
	int fd = BasicOpenFile(path, O_RDWR | O_CREAT | O_TRUNC | PG_BINARY);
	void *address = MAP_FAILED;
	char *zeros = palloc0(bytes);

	if (fd >= 0 && write(fd, zeros, bytes) == (ssize_t) bytes)
		address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (address == MAP_FAILED)
		ereport(LOG, (errcode_for_file_access(),
					  errmsg("millrace: could not create file \"%s\": %m", path),
					  errdetail("If an event crashes this worker, it cannot be identified.")));
	if (fd >= 0)
		(void) close(fd);
	pfree(zeros);
	return address == MAP_FAILED ? NULL : address;
}

static bool
map(Size bytes)
{
	MrWorkRecord old = *mr_work;
	MrWorkRecord *record = mr_work;

	mr_work = &nobodys; /* before it is unmapped: SIGQUIT's handler writes there */
	if (record != &nobodys)
		(void) munmap(record, mapped_bytes);
	record = map_file(bytes);
	if (record == NULL)
		return false;
	*record = old;
	record->size = sizeof(MrWorkRecord);
	record->max_ranges = (bytes - offsetof(MrWorkRecord, ranges)) / sizeof(MrWorkRange);
	record->magic = MR_WORK_MAGIC;
	mapped_bytes = bytes;
	mr_work = record;
	return true;
}

/*
 * An orderly end. Not when the process is ended by exit() in a user's function (code -1), or by a FATAL error that
 * is about the data: then the batch is suspicious as after a crash.
 */
static void
remove_file(int code, Datum arg)
{
	if (mr_work->running && (code < 0 || code > 1 || (code == 1 && mr_work->fatal)))
		return;
	mr_work->running = false;
	(void) unlink(path);
}

void
mr_work_open(uint32 ticket)
{
	snprintf(path, sizeof(path), MR_WORK_DIRECTORY "/" MR_WORK_FILE_FORMAT, MyDatabaseId, ticket,
			 MyProcPid);
	if (!map(FILE_BYTES))
		return;
	mr_work->number = mr_random_epoch() / 2; /* far from the end */
	handle_signals();
	before_shmem_exit(remove_file, 0);
}

void
mr_work_serve(int32 pipeline_id, int32 worker)
{
	if (mr_work == &nobodys)
		return;
	mr_work->pipeline_id = pipeline_id;
	mr_work->worker = worker;
}

/* A range for each partition that the batch has events of. */
static void
put_ranges(const MrBatch *batch)
{
	MrWorkRange *ranges = mr_work->ranges;
	int n = 0;

	mr_work->nranges = 0;
	for (int i = 0; i < batch->npartitions; i++)
		ranges[i] = (MrWorkRange){batch->partitions[i].partition, PG_INT64_MAX, PG_INT64_MIN};
	for (int i = 0; i < batch->nevents; i++)
	{
		const MrEvent *event = &batch->events[i];
		MrWorkRange *range = &ranges[mr_event_partition(batch, event) - batch->partitions];

		range->first = Min(range->first, event->offset);
		range->last = Max(range->last, event->offset);
	}
	for (int i = 0; i < batch->npartitions; i++)
		if (ranges[i].first <= ranges[i].last)
			ranges[n++] = ranges[i];
	mr_work->nranges = n;
}

void
mr_work_begin(MrWorkKind kind, const MrBatch *batch, const MrDefinition *definition)
{
	Size needed = offsetof(MrWorkRecord, ranges) + batch->npartitions * sizeof(MrWorkRange);

	if (mr_work == &nobodys || (needed > mapped_bytes && !map(Max(needed, 2 * mapped_bytes))))
		return;
	put_ranges(batch);
	batch_at_work = batch;
	topics_at_work = definition->topics;
	mr_work->kind = kind;
	mr_work->version = definition->version;
	mr_work->nevents = batch->nevents;
	mr_work->number++;
	mr_work->began_at = GetCurrentTimestamp();
	mr_work_stage(MR_STAGE_DECODE);
	mr_work->running = true;
}

void
mr_work_end(void)
{
	mr_work->running = false;
	batch_at_work = NULL;
	topics_at_work = NULL;
}
