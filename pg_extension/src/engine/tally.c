/*
 * tally.c: see tally.h. Runs in workers, when the outcomes of a batch are known.
 */
#include "engine/tally.h"

static int64 *counter(MrCounters *total, const MrEvent *event);
static void count_new(MrCounters *total, const MrEvent *event, bool with_bytes);
static void count(MrCounters *total, const MrEvent *event);
static void count_waiting(MrCounters *total, const MrEvent *event);
static void count_tries(MrCounters *total, const MrEvent *event);

void
mr_tally(MrCounters *total, const MrEvent *event)
{
	count(total, event);
	count_waiting(total, event);
	count_tries(total, event);
}

void
mr_tally_by_type(MrCounters *added, const MrEvent *event)
{
	if (!mr_event_is_tried(event))
		return;
	if (!mr_event_is_tried_again(event))
		count_new(added, event, !event->of_tried);
	(*counter(added, event))++;
	count_tries(added, event);
}

/* The counter of an outcome. */
static int64 *
counter(MrCounters *total, const MrEvent *event)
{
	switch ((MrOutcomeState) event->outcome.state)
	{
		case MR_WRITTEN:
			return &total->written;
		case MR_FILTERED:
			return &total->filtered;
		case MR_SUPERSEDED:
			return &total->superseded;
		case MR_SKIPPED:
			return &total->skipped;
		case MR_DEAD:
			return &total->dead;
		case MR_RETRYING:
		case MR_PARKED:
			return &total->retrying;
		case MR_PENDING:
		case MR_FAILED:
		case MR_DISCARDED:
			break;
	}
	elog(ERROR, "event %d:%lld has no outcome", event->partition, (long long) event->offset);
}

/* It is met for the first time. */
static void
count_new(MrCounters *total, const MrEvent *event, bool with_bytes)
{
	total->events++;
	if (event->payload != NULL && with_bytes)
		total->bytes += VARSIZE_ANY_EXHDR(event->payload);
}

/* It moves to its counter: from nowhere, from `retrying`, or (a replay) from `dead`. */
static void
count(MrCounters *total, const MrEvent *event)
{
	bool replay = event->retry != NULL && event->retry->replay_of != 0;

	if (event->outcome.state == MR_DISCARDED)
		return; /* stays a dead letter */
	if (replay && (event->outcome.state == MR_RETRYING || event->outcome.state == MR_PARKED))
		return; /* stays one until it ends */
	(*counter(total, event))++;
	if (event->retry != NULL)
	{
		(*(replay ? &total->dead : &total->retrying))--;
		return;
	}
	count_new(total, event, !event->of_counted);
}

/* Its row of millrace.retry is parked now, or was. */
static void
count_waiting(MrCounters *total, const MrEvent *event)
{
	total->parked += event->outcome.state == MR_PARKED;
	total->parked -= event->retry != NULL && event->retry->parked;
}

/* What only grows: failures, and what was tried again. An event that waits, or is discarded, was not tried. */
static void
count_tries(MrCounters *total, const MrEvent *event)
{
	bool replay = event->retry != NULL && event->retry->replay_of != 0;
	bool again = mr_event_is_tried_again(event);
	bool failed = event->outcome.state == MR_RETRYING || event->outcome.state == MR_DEAD;

	if (!mr_event_is_tried(event))
		return;
	total->retried += again;
	total->failed += failed && !again;
	total->dead_lettered += event->outcome.state == MR_DEAD;
	total->replayed += replay && !failed;
}
