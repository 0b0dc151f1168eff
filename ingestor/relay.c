/* One relay: its thread, from the lock to the last mark. */
#include "ingestor/relay.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/backoff.h"
#include "common/buffer.h"
#include "common/eventloop.h"
#include "common/log.h"
#include "ingestor/relay_db.h"
#include "ingestor/relay_kafka.h"

#define BATCH_ROWS 1000
#define LOOK_MS    1000   /* how often to look for letters, or whether the lock is free */
#define IDLE_MS    300000 /* then Kafka is let go */

struct MrRelay
{
	const MrSettings *settings;
	char *pipeline;
	char *topic;
	char *transactional_id;
	char *source_topic;
	int source_partitions;
	bool exactly_once;
	MrRelayCounters counters;

	pthread_t thread;
	pthread_mutex_t mutex; /* guards wake */
	pthread_cond_t wake;
	atomic_bool stop;
	atomic_bool ended;

	/* the thread's own from here on */
	MrRelayDb *db;
	bool locked;
	MrRelayKafka *kafka;
	int64_t *positions; /* of the DLQ topic: read up to, and marked */
	int64_t *stored;    /* what the database has of them, -1 nothing */
	int64_t used_ms;    /* when Kafka was last needed */
	MrBackoff backoff;
	bool told;       /* of a failure: nothing else is told until it works again */
	int singles;     /* letters to be published one by one: one of them is too large */
	int64_t shorten; /* number of the letter that is */
	MrLetterForm form;
};

static void *run(void *arg);
static bool work(MrRelay *relay, char *error);
static bool connect_db(MrRelay *relay, char *error);
static bool look(MrRelay *relay, char *error);
static bool open_kafka(MrRelay *relay, char *error);
static bool is_up_to_date(const MrRelay *relay, const MrPositions *positions);
static bool read_again(MrRelay *relay, const MrPositions *positions, char *error);
static bool publish(MrRelay *relay, MrLetters *letters, char *error);
static void shrink(MrRelay *relay, const MrLetters *letters);
static bool mark_delivered(MrRelay *relay, const MrLetters *letters, const MrPlace *places,
						   char *error);
static bool on_scanned(void *owner, const int64_t *positions, int count,
					   const MrSighting *sightings, int sighting_count, char *error);
static void fail(MrRelay *relay, const char *error);
static void works_again(MrRelay *relay);
static void close_kafka(MrRelay *relay);
static void close_all(MrRelay *relay);
static void pause_ms(MrRelay *relay, int64_t ms);

MrRelay *
mr_relay_new(const MrSettings *settings, const MrRelayRow *row)
{
	MrRelay *relay = mr_calloc(1, sizeof(*relay));
	pthread_condattr_t monotonic;
	sigset_t all;
	sigset_t before;
	int err;

	relay->settings = settings;
	relay->pipeline = mr_strdup(row->pipeline);
	relay->topic = mr_strdup(row->topic);
	relay->transactional_id = mr_strdup(row->transactional_id);
	relay->source_topic = mr_strdup(row->source_topic);
	relay->source_partitions = row->partitions;
	relay->exactly_once = strcmp(row->delivery, "at_least_once") != 0;
	relay->backoff = (MrBackoff){.min_ms = 250, .max_ms = 10000};
	pthread_mutex_init(&relay->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&relay->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&relay->thread, NULL, run, relay);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err == 0)
		return relay;
	mr_log(MR_LOG_ERROR, "could not start a relay", MR_STR("pipeline", relay->pipeline),
		   MR_STR("error", strerror(err)));
	relay->ended = true;
	relay->thread = pthread_self();
	mr_relay_free(relay);
	return NULL;
}

const char *
mr_relay_pipeline(const MrRelay *relay)
{
	return relay->pipeline;
}

const MrRelayCounters *
mr_relay_counters(const MrRelay *relay)
{
	return &relay->counters;
}

bool
mr_relay_fits(const MrRelay *relay, const MrRelayRow *row)
{
	return strcmp(relay->topic, row->topic) == 0 &&
		   strcmp(relay->transactional_id, row->transactional_id) == 0 &&
		   strcmp(relay->source_topic, row->source_topic) == 0 &&
		   relay->exactly_once == (strcmp(row->delivery, "at_least_once") != 0);
}

void
mr_relay_stop(MrRelay *relay)
{
	atomic_store(&relay->stop, true);
	pthread_mutex_lock(&relay->mutex);
	pthread_cond_signal(&relay->wake);
	pthread_mutex_unlock(&relay->mutex);
}

bool
mr_relay_has_ended(const MrRelay *relay)
{
	return atomic_load(&relay->ended);
}

void
mr_relay_free(MrRelay *relay)
{
	if (!pthread_equal(relay->thread, pthread_self()))
		pthread_join(relay->thread, NULL);
	pthread_cond_destroy(&relay->wake);
	pthread_mutex_destroy(&relay->mutex);
	free(relay->pipeline);
	free(relay->topic);
	free(relay->transactional_id);
	free(relay->source_topic);
	free(relay);
}

static void *
run(void *arg)
{
	MrRelay *relay = arg;
	char error[MR_RELAY_ERROR] = "";

	mr_log(MR_LOG_DEBUG, "relay begins", MR_STR("pipeline", relay->pipeline),
		   MR_STR("topic", relay->topic));
	while (!atomic_load(&relay->stop))
		if (!work(relay, error) && !atomic_load(&relay->stop))
			fail(relay, error);
	close_all(relay);
	atomic_store(&relay->ended, true);
	return NULL;
}

/* One step; waits when there is nothing to do. */
static bool
work(MrRelay *relay, char *error)
{
	if (relay->db == NULL && !connect_db(relay, error))
		return false;
	if (!relay->locked)
	{
		if (!mr_relay_db_lock(relay->db, relay->transactional_id, &relay->locked, error))
			return false;
		atomic_store(&relay->counters.active, relay->locked);
		if (!relay->locked)
		{
			pause_ms(relay, LOOK_MS);
			return true;
		}
		mr_log(MR_LOG_INFO, "relays dead letters", MR_STR("pipeline", relay->pipeline),
			   MR_STR("topic", relay->topic));
	}
	return look(relay, error);
}

static bool
connect_db(MrRelay *relay, char *error)
{
	relay->db = mr_relay_db_open(relay->settings->dsn, relay->pipeline, error);
	return relay->db != NULL;
}

/* Is there a letter? Kafka is not touched before. */
static bool
look(MrRelay *relay, char *error)
{
	bool ready = relay->kafka != NULL;
	int limit = !ready || relay->singles > 0 ? 1 : BATCH_ROWS;
	MrPositions positions = {0};
	MrLetters letters;
	bool ok;

	if (!mr_relay_db_read(relay->db, limit, relay->exactly_once ? &positions : NULL, &letters,
						  error))
		return false;
	if (letters.count == 0)
	{
		relay->singles = 0;
		works_again(relay);
		if (ready && mr_now_ms() - relay->used_ms > IDLE_MS)
			close_kafka(relay);
		pause_ms(relay, LOOK_MS);
		ok = true;
	}
	else if (!ready)
		ok = open_kafka(relay, error) &&
			 (!relay->exactly_once || read_again(relay, &positions, error));
	else if (relay->exactly_once && !is_up_to_date(relay, &positions))
		ok = read_again(relay, &positions, error);
	else
		ok = publish(relay, &letters, error);
	mr_positions_free(&positions);
	mr_letters_free(&letters);
	return ok;
}

static bool
open_kafka(MrRelay *relay, char *error)
{
	const MrRelayTarget target = {
		.brokers = relay->settings->brokers,
		.properties = &relay->settings->properties,
		.topic = relay->topic,
		.transactional_id = relay->exactly_once ? relay->transactional_id : NULL,
		.source_topic = relay->source_topic,
		.source_partitions = relay->source_partitions,
		.stop = &relay->stop,
	};
	size_t count;

	relay->kafka = mr_relay_kafka_open(&target, error);
	if (relay->kafka == NULL)
		return false;
	relay->used_ms = mr_now_ms();
	count = (size_t) mr_relay_kafka_partitions(relay->kafka);
	relay->positions = mr_calloc(count, sizeof(int64_t));
	relay->stored = mr_calloc(count, sizeof(int64_t));
	return true;
}

/* Has nobody else moved the positions, and has the database not gone back in time? */
static bool
is_up_to_date(const MrRelay *relay, const MrPositions *positions)
{
	for (int i = 0; i < mr_relay_kafka_partitions(relay->kafka); i++)
		if (relay->stored[i] != (i < positions->count ? positions->items[i] : -1))
			return false;
	return true;
}

/* Everything from where the database stands to the end; what is there gets marked. */
static bool
read_again(MrRelay *relay, const MrPositions *positions, char *error)
{
	for (int i = 0; i < mr_relay_kafka_partitions(relay->kafka); i++)
		relay->positions[i] = relay->stored[i] = i < positions->count ? positions->items[i] : -1;
	return mr_relay_kafka_scan(relay->kafka, relay->positions, on_scanned, relay, error);
}

static bool
publish(MrRelay *relay, MrLetters *letters, char *error)
{
	MrPlace *places = mr_calloc((size_t) letters->count, sizeof(MrPlace));
	bool too_large = false;
	bool ok;

	if (letters->items[0].number != relay->shorten)
		relay->form = MR_LETTER_WHOLE;
	ok = mr_relay_kafka_publish(relay->kafka, letters, relay->form,
								relay->exactly_once ? relay->positions : NULL, places, &too_large,
								error);
	if (ok)
	{
		atomic_fetch_add(&relay->counters.published, (uint64_t) letters->count);
		atomic_fetch_add(&relay->counters.batches, 1);
		relay->used_ms = mr_now_ms();
		if (relay->singles > 0)
			relay->singles--;
	}
	else if (too_large)
		shrink(relay, letters);
	if (!relay->exactly_once)
		ok = mark_delivered(relay, letters, places, error) && ok;
	else if (ok)
		ok =
			mr_relay_kafka_scan_published(relay->kafka, relay->positions, on_scanned, relay, error);
	/* Its delivery reports write to places. */
	if (!ok)
		close_kafka(relay);
	free(places);
	if (ok)
		works_again(relay);
	return ok;
}

/*
 * The headers of a letter come on top of what the source topic took. First the batch one by one, then the
 * one that does not fit without its payload, then bare: it may not hold up the others for ever.
 */
static void
shrink(MrRelay *relay, const MrLetters *letters)
{
	if (letters->count > 1)
	{
		relay->singles = letters->count;
		return;
	}
	relay->singles += relay->singles == 0;
	relay->shorten = letters->items[0].number;
	if (relay->form < MR_LETTER_BARE)
		relay->form++;
	mr_log(MR_LOG_WARN, "a dead letter is too large for its topic, and is shortened",
		   MR_STR("pipeline", relay->pipeline), MR_STR("id", letters->items[0].id));
}

static bool
mark_delivered(MrRelay *relay, const MrLetters *letters, const MrPlace *places, char *error)
{
	MrSighting *sightings = mr_calloc((size_t) letters->count, sizeof(MrSighting));
	char reason[MR_RELAY_ERROR];
	int64_t marked = 0;
	int count = 0;
	bool ok;

	for (int i = 0; i < letters->count; i++)
		if (places[i].offset >= 0)
			sightings[count++] = (MrSighting){(char *) (uintptr_t) letters->items[i].id,
											  places[i].partition, places[i].offset};
	ok = count == 0 || mr_relay_db_mark(relay->db, -1, 0, sightings, count, &marked, reason);
	if (!ok)
		snprintf(error, MR_RELAY_ERROR, "%s", reason);
	atomic_fetch_add(&relay->counters.marked, (uint64_t) marked);
	free(sightings);
	return ok;
}

/* A transaction for each partition that moved: its marks and its position. */
static bool
on_scanned(void *owner, const int64_t *positions, int count, const MrSighting *sightings,
		   int sighting_count, char *error)
{
	MrRelay *relay = owner;
	int64_t marked = 0;
	bool ok = true;

	for (int i = 0; ok && i < count; i++)
	{
		if (positions[i] == relay->stored[i])
			continue;
		ok =
			mr_relay_db_mark(relay->db, i, positions[i], sightings, sighting_count, &marked, error);
		if (ok)
			relay->stored[i] = positions[i];
	}
	atomic_fetch_add(&relay->counters.marked, (uint64_t) marked);
	return ok;
}

/*
 * The lock goes too: another ingestor may reach what this one does not. Whoever waits at the table or at
 * the topic is not concerned.
 */
static void
fail(MrRelay *relay, const char *error)
{
	char ignored[MR_RELAY_ERROR];
	int delay = mr_backoff_next(&relay->backoff, mr_random32());

	atomic_fetch_add(&relay->counters.errors, 1);
	atomic_store(&relay->counters.failing, true);
	mr_log(relay->told ? MR_LOG_DEBUG : MR_LOG_WARN, "dead letters wait",
		   MR_STR("pipeline", relay->pipeline), MR_STR("topic", relay->topic),
		   MR_STR("error", error), MR_INT("again_in_ms", delay));
	relay->told = true;
	if (relay->locked && !mr_relay_db_report(relay->db, error, ignored))
		mr_log(MR_LOG_DEBUG, "could not report", MR_STR("error", ignored));
	close_all(relay);
	pause_ms(relay, delay);
}

static void
works_again(MrRelay *relay)
{
	char ignored[MR_RELAY_ERROR];

	mr_backoff_reset(&relay->backoff);
	if (!atomic_load(&relay->counters.failing) || !mr_relay_db_report(relay->db, NULL, ignored))
		return;
	atomic_store(&relay->counters.failing, false);
	relay->told = false;
	mr_log(MR_LOG_INFO, "dead letters go out again", MR_STR("pipeline", relay->pipeline));
}

static void
close_kafka(MrRelay *relay)
{
	mr_relay_kafka_close(relay->kafka);
	relay->kafka = NULL;
	free(relay->positions);
	free(relay->stored);
	relay->positions = relay->stored = NULL;
}

static void
close_all(MrRelay *relay)
{
	close_kafka(relay);
	mr_relay_db_close(relay->db);
	relay->db = NULL;
	relay->locked = false;
	atomic_store(&relay->counters.active, false);
}

/* A stop ends it early. */
static void
pause_ms(MrRelay *relay, int64_t ms)
{
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += ms / 1000;
	end.tv_nsec += (ms % 1000) * 1000000;
	if (end.tv_nsec >= 1000000000)
	{
		end.tv_sec++;
		end.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&relay->mutex);
	while (!atomic_load(&relay->stop) &&
		   pthread_cond_timedwait(&relay->wake, &relay->mutex, &end) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&relay->mutex);
}
