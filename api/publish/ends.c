#include "api/publish/ends.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "api/publish/leaders.h"
#include "common/buffer.h"
#include "common/eventloop.h"

#define WAIT_MS 2000 /* that a question may have waited when it is asked */
#define TURN_MS 1000 /* that is the others', as long as waiting for a silent broker takes */

typedef struct Asked
{
	MrDelivery *delivery;
	char *topic;
	int32_t partition;
	int32_t leader; /* of the partition, when it is taken */
	int64_t asked_ms;
	STAILQ_ENTRY(Asked) others;
} Asked;

typedef STAILQ_HEAD(, Asked) AskedList;

struct MrEnds
{
	MrProducer *producer;
	MrLeaders *leaders; /* the thread's */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t asked;
	AskedList waiting; /* under the lock */
	int count;         /* of all that are not answered, under the lock */
	int64_t silent_ms; /* when one was found silent last */
	atomic_bool stops;
};

static void *run(void *arg);
static bool wait_for_some(MrEnds *ends, AskedList *taken);
static void put_silent_last(MrEnds *ends, AskedList *taken);
static int32_t whose_turn(MrEnds *ends, const AskedList *taken);
static bool is_late(const Asked *asked);
static void answer_first(MrEnds *ends, AskedList *taken);
static bool is_answered_by(const Asked *asked, const Asked *first, MrEndAnswer answer);
static void report(MrEnds *ends, Asked *asked, bool is_known, int64_t end);

MrEnds *
mr_ends_new(MrProducer *producer)
{
	MrEnds *ends = mr_calloc(1, sizeof(*ends));

	ends->producer = producer;
	ends->leaders = mr_leaders_new(producer);
	pthread_mutex_init(&ends->lock, NULL);
	pthread_cond_init(&ends->asked, NULL);
	STAILQ_INIT(&ends->waiting);
	if (pthread_create(&ends->thread, NULL, run, ends) == 0)
		return ends;
	pthread_cond_destroy(&ends->asked);
	pthread_mutex_destroy(&ends->lock);
	mr_leaders_free(ends->leaders);
	free(ends);
	return NULL;
}

MrDelivery *
mr_ends_ask(MrEnds *ends, MrOutbox *outbox, const char *topic, int32_t partition, MrPublishEnd end,
			void *owner)
{
	MrDelivery *delivery = NULL;

	pthread_mutex_lock(&ends->lock);
	if (ends->count < MR_ENDS_MAX)
	{
		Asked *asked = mr_calloc(1, sizeof(*asked));

		delivery = mr_delivery_new(outbox, end, owner);
		*asked = (Asked){.delivery = delivery,
						 .topic = mr_strdup(topic),
						 .partition = partition,
						 .asked_ms = mr_now_ms()};
		STAILQ_INSERT_TAIL(&ends->waiting, asked, others);
		ends->count++;
		pthread_cond_signal(&ends->asked);
	}
	pthread_mutex_unlock(&ends->lock);
	return delivery; /* the thread may have freed the rest already */
}

void
mr_ends_free(MrEnds *ends)
{
	if (ends == NULL)
		return;
	pthread_mutex_lock(&ends->lock);
	atomic_store(&ends->stops, true);
	pthread_cond_signal(&ends->asked);
	pthread_mutex_unlock(&ends->lock);
	pthread_join(ends->thread, NULL);
	pthread_cond_destroy(&ends->asked);
	pthread_mutex_destroy(&ends->lock);
	mr_leaders_free(ends->leaders);
	free(ends);
}

/*
 * Those that wait for the same partition hear of it with the first: what Kafka says now is no older than their questions. When
 * its leader is silent, so do those that wait for other partitions of its: each would have to wait in its turn, and all behind
 * them, too. Brokers that were silent come last, but for one at a time whose turn it is.
 */
static void *
run(void *arg)
{
	MrEnds *ends = arg;
	AskedList taken = STAILQ_HEAD_INITIALIZER(taken);

	while (wait_for_some(ends, &taken))
		answer_first(ends, &taken);
	return NULL;
}

/* Takes all that have come; false: there are no more, ever. */
static bool
wait_for_some(MrEnds *ends, AskedList *taken)
{
	bool has_more;

	pthread_mutex_lock(&ends->lock);
	while (STAILQ_EMPTY(&ends->waiting) && STAILQ_EMPTY(taken) && !atomic_load(&ends->stops))
		pthread_cond_wait(&ends->asked, &ends->lock);
	has_more = !STAILQ_EMPTY(&ends->waiting);
	STAILQ_CONCAT(taken, &ends->waiting);
	pthread_mutex_unlock(&ends->lock);
	if (has_more && !atomic_load(&ends->stops))
		put_silent_last(ends, taken);
	return !STAILQ_EMPTY(taken);
}

static void
put_silent_last(MrEnds *ends, AskedList *taken)
{
	AskedList silent = STAILQ_HEAD_INITIALIZER(silent);
	AskedList others = STAILQ_HEAD_INITIALIZER(others);
	Asked *asked;
	int32_t turn;

	STAILQ_FOREACH(asked, taken, others)
	asked->leader = mr_leader_of(ends->leaders, asked->topic, asked->partition);
	turn = whose_turn(ends, taken);
	while ((asked = STAILQ_FIRST(taken)) != NULL)
	{
		STAILQ_REMOVE_HEAD(taken, others);
		if (asked->leader == turn || mr_leader_silent_ms(ends->leaders, asked->leader) == 0)
			STAILQ_INSERT_TAIL(&others, asked, others);
		else if (is_late(asked)) /* others may come for ever */
			report(ends, asked, false, 0);
		else
			STAILQ_INSERT_TAIL(&silent, asked, others);
	}
	STAILQ_CONCAT(taken, &others);
	STAILQ_CONCAT(taken, &silent);
}

/* The one of the silent that are asked for that was asked longest ago, if it is time for one; else MR_LEADER_UNKNOWN. */
static int32_t
whose_turn(MrEnds *ends, const AskedList *taken)
{
	int32_t turn = MR_LEADER_UNKNOWN;
	int64_t first_ms = INT64_MAX;
	const Asked *asked;

	if (mr_now_ms() - ends->silent_ms < TURN_MS)
		return turn;
	STAILQ_FOREACH(asked, taken, others)
	{
		int64_t silent_ms = mr_leader_silent_ms(ends->leaders, asked->leader);

		if (silent_ms == 0 || silent_ms >= first_ms || is_late(asked))
			continue;
		turn = asked->leader;
		first_ms = silent_ms;
	}
	return turn;
}

static bool
is_late(const Asked *asked)
{
	return mr_now_ms() - asked->asked_ms > WAIT_MS;
}

/* And those that hear of it. One that has waited too long is not worth Kafka's time: its client hears that nobody says. */
static void
answer_first(MrEnds *ends, AskedList *taken)
{
	AskedList left = STAILQ_HEAD_INITIALIZER(left);
	Asked *first = STAILQ_FIRST(taken);
	Asked *other;
	int64_t end = 0;
	MrEndAnswer answer;
	char *topic;

	STAILQ_REMOVE_HEAD(taken, others);
	if (atomic_load(&ends->stops) || is_late(first))
	{
		report(ends, first, false, 0);
		return;
	}
	answer = mr_producer_end_of(ends->producer, first->topic, first->partition, &end);
	mr_leader_set_silent(ends->leaders, first->leader, answer == MR_END_SILENT);
	if (answer == MR_END_SILENT)
		ends->silent_ms = mr_now_ms();
	while ((other = STAILQ_FIRST(taken)) != NULL)
	{
		STAILQ_REMOVE_HEAD(taken, others);
		if (is_answered_by(other, first, answer))
			report(ends, other, answer == MR_END_KNOWN, end);
		else
			STAILQ_INSERT_TAIL(&left, other, others);
	}
	STAILQ_CONCAT(taken, &left);
	topic = first->topic;
	first->topic = NULL;
	report(ends, first, answer == MR_END_KNOWN, end);
	/* the partition may have another leader by now; those that Kafka answers for come before */
	if (answer == MR_END_SILENT && STAILQ_EMPTY(taken))
		mr_leaders_renew(ends->leaders, topic);
	free(topic);
}

static bool
is_answered_by(const Asked *asked, const Asked *first, MrEndAnswer answer)
{
	if (asked->partition == first->partition && strcmp(asked->topic, first->topic) == 0)
		return true;
	return answer == MR_END_SILENT && asked->leader != MR_LEADER_UNKNOWN &&
		   asked->leader == first->leader;
}

static void
report(MrEnds *ends, Asked *asked, bool is_known, int64_t end)
{
	pthread_mutex_lock(&ends->lock);
	ends->count--;
	pthread_mutex_unlock(&ends->lock);
	mr_delivery_report(asked->delivery, is_known ? MR_PUBLISH_OK : MR_PUBLISH_DOWN,
					   asked->partition, end, "");
	free(asked->topic);
	free(asked);
}
