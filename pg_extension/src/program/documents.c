/*
 * documents.c: see documents.h. Runs in workers, and in the sessions of dry_run().
 */
#include "program/documents.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "decode/format_ndjson.h"

/* It is a message, and its documents are not known yet. */
static bool
is_whole(const MrEvent *event)
{
	return event->document == 0 && event->payload != NULL && event->outcome.state == MR_PENDING &&
		   !(event->kind & (MR_KIND_OVERSIZE | MR_KIND_BAD_HEADERS));
}

static int
count(const MrEvent *event)
{
	return mr_ndjson_count(VARDATA_ANY(event->payload), (int) VARSIZE_ANY_EXHDR(event->payload),
						   MR_DOCUMENTS_MAX);
}

int
mr_documents_of(const MrFormat *format, const MrEvent *event)
{
	if (likely(format == NULL) || !mr_format_has_documents(format) || !is_whole(event))
		return 1;
	return Max(count(event), 1);
}

void
mr_documents_cut(const MrFormat *format, MrBatch *batch, int limit)
{
	int documents = 0;

	for (int i = 0; i < batch->nevents; i++)
	{
		documents += mr_documents_of(format, &batch->events[i]);
		if (i > 0 && documents > limit)
			batch->nevents = i;
	}
}

/* Messages that stay one event get their outcome. Returns how many events the others are to be. */
static int
judge(MrEvent *event)
{
	int n = count(event);

	if (n == 0)
		mr_outcome_skip(&event->outcome);
	else if (n > MR_DOCUMENTS_MAX)
	{
		MrFailure *failure =
			mr_failure_make(MR_STAGE_DECODE, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							"the message has more than %d documents", MR_DOCUMENTS_MAX);

		failure->hint =
			"Have the producer send fewer documents in a message, or replay it in parts "
			"with a payload.";
		mr_outcome_fail(&event->outcome, failure);
	}
	return n == 0 || n > MR_DOCUMENTS_MAX ? 1 : n;
}

/* Its documents as `n` events from `part` on. Their bytes are in one chunk: none is freed by itself. */
static void
take_apart(const MrEvent *event, MrEvent *part, int n)
{
	MrNdjson message;
	const char *document;
	int length;
	char *next =
		MemoryContextAllocHuge(CurrentMemoryContext, (Size) VARSIZE_ANY_EXHDR(event->payload) +
														 (Size) n * (VARHDRSZ + MAXIMUM_ALIGNOF));

	mr_ndjson_begin(&message, VARDATA_ANY(event->payload), (int) VARSIZE_ANY_EXHDR(event->payload));
	for (int i = 0; i < n && mr_ndjson_next(&message, &document, &length); i++)
	{
		part[i] = *event;
		part[i].document = i + 1;
		part[i].payload = (bytea *) next;
		SET_VARSIZE(next, VARHDRSZ + length);
		memcpy(VARDATA(next), document, length);
		next += MAXALIGN(VARHDRSZ + length);
		/* what the message was counted for stays where it is: the first one moves it */
		part[i].of_counted = event->retry != NULL;
		part[i].of_tried = mr_event_is_tried_again(event);
		if (i > 0)
			part[i].retry = NULL;
	}
}

/* The staged batches say which of the events are theirs. */
static void
count_admitted(MrBatch *batch, const int *sizes)
{
	int event = 0;

	for (int s = 0; s < batch->nsettled; s++)
	{
		MrStagedBatch *staged = &batch->staged[s];
		int admitted = 0;

		for (int i = 0; i < staged->admitted; i++)
			admitted += sizes[event++];
		staged->admitted = admitted;
	}
}

void
mr_documents_take_apart(const MrFormat *format, MrBatch *batch)
{
	MemoryContext old;
	MrEvent *events;
	int *sizes;
	int64 total = 0;
	int n = 0;

	if (likely(format == NULL) || !mr_format_has_documents(format) || batch->nevents == 0)
		return;
	old = MemoryContextSwitchTo(batch->context);
	sizes = MemoryContextAllocHuge(batch->context, batch->nevents * sizeof(int));
	for (int i = 0; i < batch->nevents; i++)
	{
		sizes[i] = is_whole(&batch->events[i]) ? judge(&batch->events[i]) : 1;
		total += sizes[i];
	}
	if (total > INT_MAX / 2)
		elog(ERROR, "a batch of %lld documents", (long long) total);
	events = MemoryContextAllocHuge(batch->context, total * sizeof(MrEvent));
	for (int i = 0; i < batch->nevents; n += sizes[i++])
	{
		CHECK_FOR_INTERRUPTS();
		if (is_whole(&batch->events[i]))
			take_apart(&batch->events[i], &events[n], sizes[i]);
		else
			events[n] = batch->events[i];
	}
	count_admitted(batch, sizes);
	pfree(batch->events);
	pfree(sizes);
	batch->events = events;
	batch->nevents = n;
	batch->max_events = n;
	MemoryContextSwitchTo(old);
}

bool
mr_documents_of_one_message(const MrBatch *batch)
{
	const MrEvent *first = batch->events;

	/* those that wait in rows of their own come in batches of any size */
	if (batch->nevents < 2 || first->document != 1 ||
		(first->retry != NULL && first->retry->document != 0))
		return false;
	/* in the order of their coordinates */
	return mr_event_compare(first, &batch->events[batch->nevents - 1]) == 0;
}
