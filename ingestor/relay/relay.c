/* One relay: its thread, from the lock to the last mark. */
#include "ingestor/relay/relay.h"

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
#include "common/trouble.h"
#include "ingestor/relay/relay_db.h"
#include "ingestor/relay/relay_session.h"

#define LOOK_MS 1000 /* how often to look for letters */
#define IDLE_MS                                                                                    \
	60000 /* after so long without one it ends: connections and thread are for those with work */

struct MrRelay
{
	const MrSettings *settings;
	char *pipeline;
	char *window; /* NULL: the dead letters */
	char *topic;
	char *transactional_id;
	char *former_ids;
	char *source_topic;
	bool exactly_once;
	MrRelayCounters *counters;

	pthread_t thread;
	pthread_mutex_t mutex; /* guards wake */
	pthread_cond_t wake;
	atomic_bool stop;
	atomic_bool ended;

	/* the thread's own from here on */
	MrRelayDb *db;
	bool locked;
	bool reported; /* that letters go out: nothing that another relay met is shown any more */
	MrRelaySession *session;
	int64_t idle_since_ms; /* 0: a letter waited */
	bool done;             /* nothing to do here for now */
	MrBackoff backoff;
	MrTrouble trouble;
};

static MrRelaySession *make_session(MrRelay *relay, const MrRelayRow *row);
static void *run(void *arg);
static bool work(MrRelay *relay, char *error);
static void idle(MrRelay *relay);
static bool connect_db(MrRelay *relay, char *error);
static void fail(MrRelay *relay, const char *error);
static void works_again(MrRelay *relay);
static void close_all(MrRelay *relay);
static void pause_ms(MrRelay *relay, int64_t ms);

MrRelay *
mr_relay_new(const MrSettings *settings, const MrRelayRow *row, MrRelayCounters *counters)
{
	MrRelay *relay = mr_calloc(1, sizeof(*relay));
	pthread_condattr_t monotonic;
	sigset_t all;
	sigset_t before;
	int err;

	relay->settings = settings;
	relay->counters = counters;
	relay->pipeline = mr_strdup(row->pipeline);
	relay->window = *row->window ? mr_strdup(row->window) : NULL;
	relay->topic = mr_strdup(row->topic);
	relay->transactional_id = mr_strdup(row->transactional_id);
	relay->former_ids = mr_strdup(row->former_ids);
	relay->source_topic = mr_strdup(row->source_topic);
	relay->exactly_once = strcmp(row->delivery, "at_least_once") != 0;
	relay->backoff = (MrBackoff){.min_ms = 250, .max_ms = 10000};
	relay->session = make_session(relay, row);
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
	mr_relay_session_free(relay->session);
	free(relay->pipeline);
	free(relay->window);
	free(relay->topic);
	free(relay->transactional_id);
	free(relay->former_ids);
	free(relay->source_topic);
	free(relay);
}

static MrRelaySession *
make_session(MrRelay *relay, const MrRelayRow *row)
{
	const MrRelayTarget target = {
		.brokers = relay->settings->brokers,
		.properties = &relay->settings->properties,
		.topic = relay->topic,
		.transactional_id = relay->exactly_once ? relay->transactional_id : NULL,
		.former_ids = relay->former_ids,
		.source_topic = relay->source_topic,
		.source_partitions = row->partitions,
		.stop = &relay->stop,
	};

	return mr_relay_session_new(&target, relay->pipeline, relay->counters);
}

static void *
run(void *arg)
{
	MrRelay *relay = arg;
	char error[MR_RELAY_ERROR] = "";

	mr_log(MR_LOG_DEBUG, "relay begins", MR_STR("pipeline", relay->pipeline),
		   MR_STR("topic", relay->topic));
	while (!atomic_load(&relay->stop) && !relay->done)
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
	MrRelayStep step;

	if (relay->db == NULL && !connect_db(relay, error))
		return false;
	if (!relay->locked)
	{
		if (!mr_relay_db_lock(relay->db, &relay->locked, error))
			return false;
		atomic_store(&relay->counters->active, relay->locked);
		if (!relay->locked)
		{
			atomic_store(&relay->counters->failing, false); /* that is for the other one to say */
			relay->done = true;
			return true;
		}
		mr_log(MR_LOG_INFO, relay->window ? "relays a window" : "relays dead letters",
			   MR_STR("pipeline", relay->pipeline), MR_STR("window", relay->window),
			   MR_STR("topic", relay->topic));
	}
	step = mr_relay_session_step(relay->session, relay->db, error);
	if (step == MR_RELAY_IDLE || step == MR_RELAY_PUBLISHED)
		works_again(relay);
	if (step == MR_RELAY_IDLE)
		idle(relay);
	else
		relay->idle_since_ms = 0;
	return step != MR_RELAY_FAILED;
}

static void
idle(MrRelay *relay)
{
	int64_t now = mr_now_ms();

	if (relay->idle_since_ms == 0)
		relay->idle_since_ms = now;
	relay->done = now - relay->idle_since_ms >= IDLE_MS;
	if (!relay->done)
		pause_ms(relay, LOOK_MS);
}

static bool
connect_db(MrRelay *relay, char *error)
{
	relay->db = mr_relay_db_open(relay->settings->dsn, relay->pipeline, relay->window, relay->topic,
								 &relay->stop, error);
	return relay->db != NULL;
}

/*
 * The lock is released too: another ingestor may reach what this one does not. A relay that waits for the
 * table or the topic holds nothing up.
 */
static void
fail(MrRelay *relay, const char *error)
{
	char ignored[MR_RELAY_ERROR];
	int delay = mr_backoff_next(&relay->backoff, mr_random32());

	atomic_fetch_add(&relay->counters->errors, 1);
	atomic_store(&relay->counters->failing, true);
	relay->reported = false;
	mr_log(mr_trouble_set(&relay->trouble, error),
		   relay->window ? "values of a window wait" : "dead letters wait",
		   MR_STR("pipeline", relay->pipeline), MR_STR("window", relay->window),
		   MR_STR("topic", relay->topic), MR_STR("error", error), MR_INT("again_in_ms", delay));
	if (relay->locked && !mr_relay_db_report(relay->db, error, ignored))
		mr_log(MR_LOG_DEBUG, "could not report", MR_STR("error", ignored));
	close_all(relay);
	pause_ms(relay, delay);
}

/* What is reported may be the error of a relay of another ingestor, which is gone: it is taken back once by each relay. */
static void
works_again(MrRelay *relay)
{
	char ignored[MR_RELAY_ERROR];

	mr_backoff_reset(&relay->backoff);
	if (relay->reported || !mr_relay_db_report(relay->db, NULL, ignored))
		return;
	relay->reported = true;
	if (!atomic_exchange(&relay->counters->failing, false))
		return;
	mr_trouble_clear(&relay->trouble);
	mr_log(MR_LOG_INFO,
		   relay->window ? "values of a window go out again" : "dead letters go out again",
		   MR_STR("pipeline", relay->pipeline), MR_STR("window", relay->window));
}

static void
close_all(MrRelay *relay)
{
	mr_relay_session_close(relay->session);
	mr_relay_db_close(relay->db);
	relay->db = NULL;
	relay->locked = false;
	atomic_store(&relay->counters->active, false);
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
